'use strict'

// Token sources: one grant, kept fresh. When and by whom it is renewed is decided by the keeper (keeper.cjs), and
// carried out in renewal.cjs. The sources of many grants are in sessions.cjs, fixed tokens in fixed-token.cjs.

const { inspect } = require('#host')
const { Source } = require('./api.cjs')
const { checkLimit, perform, wait } = require('./exchange.cjs')
const { drainSome, fresh, launched, upkeep } = require('./renewal.cjs')
const { Keeper } = require('./keeper.cjs')
const { optionsOf } = require('./options.cjs')
const { asyncDispose } = require('./value.cjs')

/**
 * One grant, kept fresh: a thousand callers with a stale token make one request, which is finished
 * and kept even if all of them have gone. With a store, that holds for everyone who shares it.
 */
class GrantSource extends Source {
  #keeper
  #job
  #sessions
  #signIn

  constructor(keeper, { transport = {}, store, onTokens, onNotice, turn, origins, server, client, sessions, signIn } = {}) {
    if (!(keeper instanceof Keeper)) throw new TypeError('sources come from a client')
    if (onTokens !== undefined && typeof onTokens !== 'function') throw new TypeError('onTokens must be a function')
    super({ server, client }, { origins, fetch: transport.apiFetch })
    this.#keeper = keeper
    this.#sessions = sessions
    this.#signIn = signIn
    // Off the event loop, an exchange could end before its callers are notified.
    const isAlone = store === undefined && transport.send !== undefined
    this.#job = { store, onTokens, onNotice, turn, isAlone, run: (exchange) => perform(exchange, transport) }
  }

  static keeperOf(source) {
    return source.#keeper
  }

  /** The renewal that keeps an idle grant alive, if one is due. */
  static keptAlive(source) {
    return upkeep(source.#keeper, source.#job)
  }

  /**
   * Shuts this source down gracefully: no new renewal begins, one that was sent is finished, and what it has brought is
   * stored. The current token is returned until it expires.
   */
  async drain(options) {
    this.#keeper.drain()
    await drainSome((keeper) => keeper === this.#keeper, options)
  }

  /** Drains it, unless it is one of many: then whoever else has this grant goes on. */
  async close() {
    if (this.#sessions === undefined) await this.drain()
  }

  async [asyncDispose]() {
    await this.close()
  }

  /** The name of the record in a store. */
  get key() {
    return this.#keeper.key
  }

  /** A token that is fresh now. */
  token(options) {
    return this.#fresh(undefined, options)
  }

  /** A token to take the place of one that was refused; without a request if that has happened already. */
  renew(refused, options) {
    return this.#fresh(refused, options)
  }

  async #fresh(refused, options) {
    const { signal, timeoutMs } = optionsOf('a call', options)
    signal?.throwIfAborted()
    checkLimit(timeoutMs)
    const tokens = wait(fresh(this.#keeper, refused, this.#job), { signal, timeoutMs })
    if (this.#signIn === undefined) return tokens
    return tokens.catch((error) => { throw this.#signIn.instead(error) })
  }

  /** Forgets exactly this token. */
  invalidate(refused) {
    this.#keeper.refuse(refused)
  }

  /** Takes the tokens of a new login, and stores them. */
  async logIn(tokens) {
    this.#keeper.replace(tokens)
    while (!this.#keeper.isStored) {
      // One may have been under way before: what counts is what is stored then.
      await launched(this.#keeper, this.#keeper.ask(), this.#job)?.catch(() => {})
      const { lastError } = this.#keeper
      if (lastError) throw lastError
    }
  }

  [inspect.custom]() {
    return 'GrantSource {}'
  }
}

module.exports = { GrantSource }
