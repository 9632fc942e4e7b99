'use strict'

// `GrantSource`: a source of tokens of one grant, which it keeps fresh. keeper.cjs decides when to renew, renewal.cjs
// carries renewals out, and grants.cjs manages the sources of many grants.

const { inspect } = require('#host')
const { Source } = require('./api.cjs')
const { endGrant } = require('./end-grant.cjs')
const { errorForCaller } = require('./errors.cjs')
const { checkLimit, runOver, waitFor } = require('./exchange.cjs')
const { HOLD, holdGrant } = require('./hold.cjs')
const { drainKeepers, freshTokens, publish, renewalUnderWay, runUpkeep } = require('./renewal.cjs')
const { Keeper } = require('./keeper.cjs')
const { checkOptions } = require('./options.cjs')
const { asyncDispose } = require('./value.cjs')

/**
 * One grant, kept fresh. A thousand callers with a stale token cause one request, which completes, and whose tokens are
 * kept, even if all callers abort. With a store, this holds across all workers that share it.
 */
class GrantSource extends Source {
  #keeper
  #job
  #grants
  #logOut
  #revoke
  #signIn

  constructor(keeper, { transport = {}, store, onTokens, onNotice, turn, origins, server, client, grants, logOut, revoke, signIn } = {}) {
    if (!(keeper instanceof Keeper)) throw new TypeError('a GrantSource must be created with a client')
    if (onTokens !== undefined && typeof onTokens !== 'function') throw new TypeError('onTokens must be a function')
    super({ server, client }, { origins, fetch: transport.apiFetch })
    this.#keeper = keeper
    this.#grants = grants
    this.#logOut = logOut
    this.#revoke = revoke
    this.#signIn = signIn
    // Natively, an exchange could end before its callers are notified.
    const isAlone = store === undefined && transport.send !== undefined
    this.#job = { store, onTokens, onNotice, turn, isAlone, signIn, run: (exchange) => runOver(exchange, transport) }
  }

  static getKeeper(source) {
    return source.#keeper
  }

  /** The latest tokens, which no worker renews until `release` is called, or this many milliseconds have passed. */
  [HOLD](ms) {
    const [keeper, job] = [this.#keeper, this.#job]
    return holdGrant(keeper, job.store, ms, () => publish(job, keeper, 'lease_lost'))
  }

  /** The renewal that keeps an idle grant alive, if one is due. */
  static keepAliveRenewal(source) {
    return runUpkeep(source.#keeper, source.#job)
  }

  /**
   * Shuts this source down gracefully: no new renewal begins, one that was sent is finished, and its tokens are
   * stored. The current token is returned until it expires.
   */
  async drain(options) {
    const keeper = this.#keeper
    await drainKeepers((other) => other === keeper, options, () => keeper.drain())
  }

  /** Drains the source, unless it belongs to `Grants`, whose other callers may still use it. */
  async close() {
    if (this.#grants === undefined) await this.drain()
  }

  async [asyncDispose]() {
    await this.close()
  }

  /** The key of the grant's record in a store. */
  get key() {
    return this.#keeper.key
  }

  /** A fresh token. */
  token(options) {
    return this.#fresh(undefined, options)
  }

  /** A token that replaces a refused one; no request is sent if it has been replaced already. */
  renew(refused, options) {
    return this.#fresh(refused, options)
  }

  async #fresh(refused, options) {
    const { signal, timeoutMs } = checkOptions('a call', options)
    signal?.throwIfAborted()
    checkLimit(timeoutMs)
    try {
      return await waitFor(freshTokens(this.#keeper, refused, this.#job), { signal, timeoutMs })
    } catch (error) {
      throw errorForCaller(this.#signIn === undefined ? error : this.#signIn.replaceError(error))
    }
  }

  /** Discards this token, but no newer one. */
  invalidate(refused) {
    this.#keeper.refuse(refused)
  }

  /** Stores the tokens of a new login. */
  async logIn(tokens) {
    this.#keeper.replace(tokens)
    await this.#storeLogin()
  }

  /** Stores them unless the record was removed after it was read at this version. */
  static async logInSeen(source, tokens, seenVersion) {
    Keeper.replaceSeen(source.#keeper, tokens, seenVersion)
    await source.#storeLogin()
  }

  async #storeLogin() {
    while (!this.#keeper.isStored) {
      // A renewal may have been under way: wait until the new tokens are stored after it.
      await renewalUnderWay(this.#keeper, this.#keeper.ask(), this.#job)?.catch(() => {})
      const { lastError } = this.#keeper
      if (lastError) throw lastError
    }
  }

  /** Logs the user out: revokes the tokens, and removes them here and in the store, even if the revocation fails. */
  async logOut() {
    await (this.#logOut === undefined ? GrantSource.end(this) : this.#logOut())
  }

  /** Ends the grant of a source, and none beside it. */
  static end(source) {
    return endGrant(source.#keeper, source.#job.store, source.#revoke)
  }

  [inspect.custom]() {
    return 'GrantSource {}'
  }
}

module.exports = { GrantSource }
