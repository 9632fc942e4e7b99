'use strict'

// `Keeper`: decides when to renew one grant; your own driver and store carry that out.

const { inspect } = require('#host')
const native = require('#native')
const { storeError, nativeFailureOf, callNative } = require('./errors.cjs')
const { Exchange, momentOf, causeText } = require('./exchange.cjs')
const { Tokens, nativeTokens, toldTokens, tokensOf } = require('./tokens.cjs')

const request = (known, at, refused, held) => known.ask(at, refused, held)
const requestAlone = (known, at, refused, held) => known.askAlone(at, refused, held)

const dateOf = (ms) => (typeof ms === 'number' ? new Date(ms) : undefined)

/** A task for the driver of a renewal. `console.log` does not show the record. */
class Task {
  constructor(members) {
    Object.assign(this, members)
  }

  [inspect.custom](depth, options) {
    const { kind, ms, version } = this
    const shown = Object.entries({ kind, ms, version }).filter(([, value]) => value !== undefined)
    return `Task ${inspect(Object.fromEntries(shown), options)}`
  }
}

/** One grant, kept fresh by your own driver. It opens no socket and calls no store. */
class Keeper {
  #known
  #moment
  #assertion
  #latest

  constructor(known, moment, assertion) {
    if (!(known instanceof native.NativeKeeper)) throw new TypeError('a Keeper must be created with client.keeper')
    this.#known = known
    this.#moment = moment
    this.#assertion = assertion
  }

  get key() { return this.#known.key }
  get isStored() { return this.#known.isStored }
  get isSavingLogin() { return this.#known.isSavingLogin }
  get tokens() { return this.#sameTokens(this.#known.tokens) }

  /** The state of the grant: `good`, `suspect` or `ended`. */
  get standing() { return this.#known.standing }

  /** The error of the last renewal, if it failed. */
  get lastError() {
    const failure = this.#known.lastError
    return failure ? storeError(failure) : undefined
  }

  /** Requests a token for one caller; `refused` is the token that an API has refused, if any. */
  ask(refused) {
    return this.#decide(request, refused)
  }

  /** Requests a token of a grant that is not shared: a caller that has to renew it gets the renewal as one exchange. */
  askAlone(refused) {
    return this.#decide(requestAlone, refused)
  }

  #decide(request, refused) {
    const refusedTokens = refused === undefined ? undefined : nativeTokens(refused)
    const held = this.#latest && nativeTokens(this.#latest)
    const at = momentOf(this.#moment)
    const { kind, held: isHeld, tokens, exchange } = callNative(() => request(this.#known, at, refusedTokens, held))
    const turn = { kind, tokens: isHeld ? this.#latest : this.#sameTokens(tokens) }
    if (exchange) turn.renewal = this.#renewal(exchange)
    return turn
  }

  #renewal(exchange) {
    return new Exchange(exchange, ({ tokens }) => (this.#latest = toldTokens(tokens)), this.#moment, this.#assertion)
  }

  refuse(tokens) { this.#known.refuse(nativeTokens(tokens)) }

  replace(tokens) {
    const taken = nativeTokens(tokens)
    const at = momentOf(this.#moment)
    callNative(() => this.#known.replace(at, taken))
  }

  /** Replaces the tokens with those of a new login, unless the record was removed after it was read at this version. */
  static replaceSeen(keeper, tokens, seen) {
    const taken = nativeTokens(tokens)
    const at = momentOf(keeper.#moment)
    callNative(() => keeper.#known.replaceSeen(at, taken, seen))
  }

  /** Ends a login that is not stored yet, and returns its tokens, to be revoked. */
  static endUnsavedLogin(keeper) {
    const ended = callNative(() => keeper.#known.endUnsavedLogin(momentOf(keeper.#moment))) ?? undefined
    return ended && new Tokens(ended)
  }

  /** The lease of a use of the refresh token outside a renewal: `{ holder, ms, every }`. */
  static leaseOfUse(keeper) {
    if (!(keeper instanceof Keeper)) throw new TypeError('keeper must be a Keeper')
    return keeper.#known.leaseOfUse(crypto.randomUUID().replaceAll('-', ''))
  }

  learn(entry) {
    if (typeof entry !== 'object' || entry === null) throw new TypeError('entry must be { version, record }')
    const { version, record } = entry
    const at = momentOf(this.#moment)
    callNative(() => this.#known.learn(at, version, record))
  }

  /** The tokens of this entry, or without one the known tokens, where the lease is held. */
  settledTokens(entry) {
    const { version, record } = entry?.record ? entry : {}
    return new Tokens(callNative(() => this.#known.settledTokens(version, record)))
  }

  /** The lease to extend while an exchange runs: `{ holder, ms, every }`. */
  get leaseExtension() { return this.#known.leaseExtension() ?? undefined }

  /** The milliseconds until the next attempt to store unsaved tokens. */
  get retryAfter() { return this.#known.retryAfter(momentOf(this.#moment)) ?? undefined }

  /** The milliseconds until `upkeep` is due. */
  get upkeepAfter() { return this.#known.upkeepAfter(momentOf(this.#moment)) ?? undefined }

  /** The upkeep that is due without a caller: `'renew'`, or the end of the user's authorization. */
  upkeep() {
    const upkeep = this.#known.upkeep(momentOf(this.#moment)) ?? undefined
    if (upkeep === undefined) return undefined
    return typeof upkeep.ends === 'number' ? new Date(upkeep.ends) : 'renew'
  }

  /** The upkeep of a grant that is not shared, whose renewal is one exchange. */
  upkeepAlone() {
    const upkeep = this.#known.upkeepAlone(momentOf(this.#moment)) ?? undefined
    if (upkeep === undefined || typeof upkeep.ends === 'number') return upkeep && { ends: new Date(upkeep.ends) }
    return { renewal: this.#renewal(upkeep.exchange) }
  }

  /** Whether there are unsaved tokens; if so, call `begin`. */
  saveAgain() { return this.#known.saveAgain() }

  /** From now on, begins no renewal. */
  drain() { this.#known.drain() }

  abandon() { this.#known.abandon(momentOf(this.#moment)) }

  begin() { return this.#step((known, at) => known.begin(at)) }

  loaded(entry) {
    const { version, record } = entry ?? {}
    return this.#step((known, at) => known.loaded(at, version, record))
  }

  leased(ms) { return this.#step((known, at) => known.leased(at, ms ?? 0)) }
  saved(version) { return this.#step((known, at) => known.saved(at, version ?? undefined)) }
  completed() { return this.#step((known, at) => known.completed(at)) }
  elapsed() { return this.#step((known, at) => known.elapsed(at)) }

  /** Reports that the store failed. Its error may contain an address with a password, so it is not the `cause`. */
  failed(reason) {
    const failure = nativeFailureOf(reason)
    return this.#step((known, at) => (failure ? known.failedWith(at, failure) : known.failed(at, causeText(reason))))
  }

  #step(answer) {
    const at = momentOf(this.#moment)
    const { kind, holder, ms, record, version, due, until, exchange, tokens } = callNative(() => answer(this.#known, at))
    switch (kind) {
      case 'lease': return new Task({ kind, holder, ms })
      case 'save': return new Task({ kind, record, version, due: dateOf(due), until: dateOf(until) })
      case 'run': return new Task({ kind, exchange: new Exchange(exchange, tokensOf, this.#moment, this.#assertion) })
      case 'wait': return new Task({ kind, ms })
      case 'over': return new Task({ kind, tokens: this.#sameTokens(tokens) })
      default: return new Task({ kind })
    }
  }

  /** Wraps tokens of the addon; for the newest tokens it always returns the same object. */
  #sameTokens(known) {
    if (known === undefined || known === null) return undefined
    if (this.#latest && nativeTokens(this.#latest).isSame(known)) return this.#latest
    return (this.#latest = new Tokens(known))
  }

  [inspect.custom]() {
    return 'Keeper {}'
  }
}

module.exports = { Keeper }
