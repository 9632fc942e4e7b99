'use strict'

// The keeper of one grant, for your own driver and store.

const { inspect } = require('#host')
const native = require('#native')
const { failed, failureOf, lifted } = require('./errors.cjs')
const { Exchange, momentOf, textOf } = require('./exchange.cjs')
const { Tokens, nativeTokens, toldTokens, tokensOf } = require('./tokens.cjs')

const ask = (known, at, refused, held) => known.ask(at, refused, held)
const askAlone = (known, at, refused, held) => known.askAlone(at, refused, held)

const dateOf = (ms) => (typeof ms === 'number' ? new Date(ms) : undefined)

/** A task of a renewal. `console.log` does not show the record. */
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
    if (!(known instanceof native.NativeKeeper)) throw new TypeError('keepers come from client.keeper')
    this.#known = known
    this.#moment = moment
    this.#assertion = assertion
  }

  get key() { return this.#known.key }
  get isStored() { return this.#known.isStored }
  get isSavingLogin() { return this.#known.isSavingLogin }
  get tokens() { return this.#held(this.#known.tokens) }

  /** The state of the grant: `good`, `suspect` or `ended`. */
  get standing() { return this.#known.standing }

  /** Why the last renewal failed, if it did. */
  get lastError() {
    const failure = this.#known.lastError
    return failure ? failed(failure) : undefined
  }

  /** One caller asks for a token, knowing perhaps of one that was refused. */
  ask(refused) {
    return this.#turn(ask, refused)
  }

  /** The same of a grant that is not shared: whoever is to renew has the renewal as one exchange. */
  askAlone(refused) {
    return this.#turn(askAlone, refused)
  }

  #turn(ask, refused) {
    const dead = refused === undefined ? undefined : nativeTokens(refused)
    const held = this.#latest && nativeTokens(this.#latest)
    const at = momentOf(this.#moment)
    const { kind, held: isHeld, tokens, exchange } = lifted(() => ask(this.#known, at, dead, held))
    const turn = { kind, tokens: isHeld ? this.#latest : this.#held(tokens) }
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
    lifted(() => this.#known.replace(at, taken))
  }

  learn(entry) {
    if (typeof entry !== 'object' || entry === null) throw new TypeError('entry must be { version, record }')
    const { version, record } = entry
    const at = momentOf(this.#moment)
    lifted(() => this.#known.learn(at, version, record))
  }

  /** The lease to extend while an exchange runs: `{ holder, ms, every }`. */
  get leaseExtension() { return this.#known.leaseExtension() ?? undefined }

  /** In how many milliseconds to try again to store what is not stored yet. */
  get retryAfter() { return this.#known.retryAfter(momentOf(this.#moment)) ?? undefined }

  /** In how many milliseconds `upkeep` has something to say. */
  get upkeepAfter() { return this.#known.upkeepAfter(momentOf(this.#moment)) ?? undefined }

  /** What is to be done though nobody asks: `'renew'`, or when the person's authorization ends. */
  upkeep() {
    const upkeep = this.#known.upkeep(momentOf(this.#moment)) ?? undefined
    if (upkeep === undefined) return undefined
    return typeof upkeep.ends === 'number' ? new Date(upkeep.ends) : 'renew'
  }

  /** The same of a grant that is not shared: the renewal is an exchange. */
  upkeepAlone() {
    const upkeep = this.#known.upkeepAlone(momentOf(this.#moment)) ?? undefined
    if (upkeep === undefined || typeof upkeep.ends === 'number') return upkeep && { ends: new Date(upkeep.ends) }
    return { renewal: this.#renewal(upkeep.exchange) }
  }

  /** Whether there is something to store: then begin. */
  saveAgain() { return this.#known.saveAgain() }

  /** Renews nothing from here on. */
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

  /** The store gave no answer. What it threw may hold an address with a password: it is no `cause`. */
  failed(reason) {
    const failure = failureOf(reason)
    return this.#step((known, at) => (failure ? known.failedWith(at, failure) : known.failed(at, textOf(reason))))
  }

  #step(answer) {
    const at = momentOf(this.#moment)
    const { kind, holder, ms, record, version, due, until, exchange, tokens } = lifted(() => answer(this.#known, at))
    switch (kind) {
      case 'lease': return new Task({ kind, holder, ms })
      case 'save': return new Task({ kind, record, version, due: dateOf(due), until: dateOf(until) })
      case 'run': return new Task({ kind, exchange: new Exchange(exchange, tokensOf, this.#moment, this.#assertion) })
      case 'wait': return new Task({ kind, ms })
      case 'over': return new Task({ kind, tokens: this.#held(tokens) })
      default: return new Task({ kind })
    }
  }

  /** Tokens of the addon's, as the newest we know of: the same tokens are the same object. */
  #held(known) {
    if (known === undefined || known === null) return undefined
    if (this.#latest && nativeTokens(this.#latest).isSame(known)) return this.#latest
    return (this.#latest = new Tokens(known))
  }

  [inspect.custom]() {
    return 'Keeper {}'
  }
}

module.exports = { Keeper }
