'use strict'

// `Keeper`: decides when to renew one grant; your own driver and store carry that out.

const { inspect } = require('#host')
const native = require('#native')
const { storeError, getNativeFailure, callNative } = require('./errors.cjs')
const { Exchange, readMoment, causeText } = require('./exchange.cjs')
const { Tokens, nativeTokens, tokensFromTexts, toTokens } = require('./tokens.cjs')

const request = (handle, at, refused, held) => handle.ask(at, refused, held)
const requestAlone = (handle, at, refused, held) => handle.askAlone(at, refused, held)

const toDate = (ms) => (typeof ms === 'number' ? new Date(ms) : undefined)

/** A task for the driver of a renewal. `console.log` does not show the record. */
class Task {
  constructor(members) {
    Object.assign(this, members)
  }

  [inspect.custom](depth, options) {
    const { kind, ms, version } = this
    const visible = Object.entries({ kind, ms, version }).filter(([, value]) => value !== undefined)
    return `Task ${inspect(Object.fromEntries(visible), options)}`
  }
}

/** One grant, kept fresh by your own driver. It opens no socket and calls no store. */
class Keeper {
  #handle
  #moment
  #assertion
  #latest

  constructor(handle, moment, assertion) {
    if (!(handle instanceof native.NativeKeeper)) throw new TypeError('a Keeper must be created with client.keeper')
    this.#handle = handle
    this.#moment = moment
    this.#assertion = assertion
  }

  get key() { return this.#handle.key }
  get isStored() { return this.#handle.isStored }
  get isSavingLogin() { return this.#handle.isSavingLogin }
  get tokens() { return this.#sameTokens(this.#handle.tokens) }

  /** The state of the grant: `good`, `suspect` or `ended`. */
  get standing() { return this.#handle.standing }

  /** The error of the last renewal, if it failed. */
  get lastError() {
    const failure = this.#handle.lastError
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
    const at = readMoment(this.#moment)
    const { kind, held: isHeld, tokens, exchange } = callNative(() => request(this.#handle, at, refusedTokens, held))
    const turn = { kind, tokens: isHeld ? this.#latest : this.#sameTokens(tokens) }
    if (exchange) turn.renewal = this.#renewal(exchange)
    return turn
  }

  #renewal(exchange) {
    return new Exchange(exchange, ({ tokens }) => (this.#latest = tokensFromTexts(tokens)), this.#moment, this.#assertion)
  }

  refuse(tokens) { this.#handle.refuse(nativeTokens(tokens)) }

  replace(tokens) {
    const tokensHandle = nativeTokens(tokens)
    const at = readMoment(this.#moment)
    callNative(() => this.#handle.replace(at, tokensHandle))
  }

  /** Replaces the tokens with those of a new login, unless the record was removed after it was read at this version. */
  static replaceSeen(keeper, tokens, seenVersion) {
    const tokensHandle = nativeTokens(tokens)
    const at = readMoment(keeper.#moment)
    callNative(() => keeper.#handle.replaceSeen(at, tokensHandle, seenVersion))
  }

  /** Ends a login that is not stored yet (any login if there is no store), and returns its tokens, which must be revoked. */
  static endUnsavedLogin(keeper) {
    if (!(keeper instanceof Keeper)) throw new TypeError('keeper must be a Keeper')
    const ended = callNative(() => keeper.#handle.endUnsavedLogin(readMoment(keeper.#moment))) ?? undefined
    return ended && new Tokens(ended)
  }

  /** The lease for a use of the refresh token outside a renewal: `{ holder, ms, every }`. */
  static leaseOfUse(keeper) {
    if (!(keeper instanceof Keeper)) throw new TypeError('keeper must be a Keeper')
    return keeper.#handle.leaseOfUse(crypto.randomUUID().replaceAll('-', ''))
  }

  learn(entry) {
    if (typeof entry !== 'object' || entry === null) throw new TypeError('entry must be { version, record }')
    const { version, record } = entry
    const at = readMoment(this.#moment)
    callNative(() => this.#handle.learn(at, version, record))
  }

  /** The tokens of this entry, or the known ones if there is no entry. The caller must hold the lease. */
  settledTokens(entry) {
    const { version, record } = entry?.record ? entry : {}
    return new Tokens(callNative(() => this.#handle.settledTokens(version, record)))
  }

  /** The lease to extend while an exchange runs: `{ holder, ms, every }`. */
  get leaseExtension() { return this.#handle.leaseExtension() ?? undefined }

  /** The milliseconds until the next attempt to store unsaved tokens. */
  get retryAfter() { return this.#handle.retryAfter(readMoment(this.#moment)) ?? undefined }

  /** The milliseconds until `upkeep` is due. */
  get upkeepAfter() { return this.#handle.upkeepAfter(readMoment(this.#moment)) ?? undefined }

  /** The upkeep that is due without a caller: `'renew'`, or the end of the user's authorization. */
  upkeep() {
    const upkeep = this.#handle.upkeep(readMoment(this.#moment)) ?? undefined
    if (upkeep === undefined) return undefined
    return typeof upkeep.ends === 'number' ? new Date(upkeep.ends) : 'renew'
  }

  /** The upkeep of a grant that is not shared, whose renewal is one exchange. */
  upkeepAlone() {
    const upkeep = this.#handle.upkeepAlone(readMoment(this.#moment)) ?? undefined
    if (upkeep === undefined || typeof upkeep.ends === 'number') return upkeep && { ends: new Date(upkeep.ends) }
    return { renewal: this.#renewal(upkeep.exchange) }
  }

  /** Whether there are unsaved tokens; if so, call `begin`. */
  saveAgain() { return this.#handle.saveAgain() }

  /** From now on, begins no renewal. */
  drain() { this.#handle.drain() }

  abandon() { this.#handle.abandon(readMoment(this.#moment)) }

  begin() { return this.#step((handle, at) => handle.begin(at)) }

  loaded(entry) {
    const { version, record } = entry ?? {}
    return this.#step((handle, at) => handle.loaded(at, version, record))
  }

  leased(ms) { return this.#step((handle, at) => handle.leased(at, ms ?? 0)) }
  saved(version) { return this.#step((handle, at) => handle.saved(at, version ?? undefined)) }
  completed() { return this.#step((handle, at) => handle.completed(at)) }
  elapsed() { return this.#step((handle, at) => handle.elapsed(at)) }

  /** Reports that the store failed. Its error may contain an address with a password, so it is not the `cause`. */
  failed(reason) {
    const failure = getNativeFailure(reason)
    return this.#step((handle, at) => (failure ? handle.failedWith(at, failure) : handle.failed(at, causeText(reason))))
  }

  #step(input) {
    const at = readMoment(this.#moment)
    const { kind, holder, ms, record, version, due, until, exchange, tokens } = callNative(() => input(this.#handle, at))
    switch (kind) {
      case 'lease': return new Task({ kind, holder, ms })
      case 'save': return new Task({ kind, record, version, due: toDate(due), until: toDate(until) })
      case 'run': return new Task({ kind, exchange: new Exchange(exchange, toTokens, this.#moment, this.#assertion) })
      case 'wait': return new Task({ kind, ms })
      case 'over': return new Task({ kind, tokens: this.#sameTokens(tokens) })
      default: return new Task({ kind })
    }
  }

  /** Wraps tokens of the addon; for the newest tokens it always returns the same object. */
  #sameTokens(tokensHandle) {
    if (tokensHandle === undefined || tokensHandle === null) return undefined
    if (this.#latest && nativeTokens(this.#latest).isSame(tokensHandle)) return this.#latest
    return (this.#latest = new Tokens(tokensHandle))
  }

  [inspect.custom]() {
    return 'Keeper {}'
  }
}

module.exports = { Keeper }
