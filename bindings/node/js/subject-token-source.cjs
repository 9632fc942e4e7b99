'use strict'

// Supplies the subject tokens for identity assertion grants: the tokens of a sign-in at the identity provider.

const native = require('#native')
const { OAuthError, callNative } = require('./errors.cjs')
const { causeText, waitFor } = require('./exchange.cjs')
const { acquireHold } = require('./hold.cjs')
const { nativeTokens } = require('./tokens.cjs')
const { checkUnicode } = require('./unicode.cjs')

/** The longest time that a subject token may take to arrive, in milliseconds. */
const MAX_WAIT_MS = 30_000

/** The longest time that a sign-in is held, in milliseconds: enough for two requests. */
const HOLD_MS = 65_000

/** Reads the subject token before each exchange, from a token source or a function. */
class SubjectTokenSource {
  #origin
  #release

  constructor(origin, type = 'id_token') {
    const isSource = typeof origin?.token === 'function' && typeof origin.renew === 'function'
    if (!isSource && typeof origin !== 'function') throw new TypeError('signIn must be a token source, or a function that returns a token')
    this.#origin = isSource ? origin : { read: origin }
    this.native = callNative(() => native.NativeSignIn.of(type))
  }

  /** Only the first step of an exchange needs the subject token. */
  get isForBegin() { return true }

  async read(at, { signal, timeoutMs = MAX_WAIT_MS }) {
    const attempt = { isOver: false }
    try {
      await waitFor(this.#obtain(at, attempt), { signal, timeoutMs: Math.min(timeoutMs, MAX_WAIT_MS) })
      this.failure = undefined
    } catch (error) {
      attempt.isOver = true
      signal?.throwIfAborted()
      this.#recordFailure(error)
    }
    return () => this.failure
  }

  /** Reads the subject token synchronously, for a step of the caller's own driver. */
  readAtOnce() {
    const { read } = this.#origin
    if (read === undefined) throw new TypeError('a manual step cannot await a token source: run the exchange instead, or pass a function')
    this.failure = undefined
    try {
      this.#pass(read())
    } catch (error) {
      return this.#recordFailure(error)
    }
    return undefined
  }

  /** Replaces the error of a missing subject token with the error of its source. */
  replaceError(error) {
    const isReadFailure = this.failure !== undefined && error instanceof OAuthError && error.code === 'lost.unsent'
    return isReadFailure ? this.failure : error
  }

  async #obtain(at, attempt) {
    const source = this.#origin
    if (source.read !== undefined) return this.#pass(await source.read())
    const tokens = await source.token()
    if (!this.native.leaveTokens(nativeTokens(tokens), at)) return undefined
    // The ID token may expire before the other tokens. The source renews it, once for all callers.
    const renewed = this.native.isRenewalInVain(nativeTokens(tokens)) ? tokens : await source.renew(tokens)
    if (!this.native.leaveRenewed(nativeTokens(renewed), at)) return undefined
    // Its refresh token is used only while no worker renews the sign-in.
    const held = await acquireHold(source, HOLD_MS)
    if (held === undefined) return undefined
    const { tokens: latest, release } = held
    this.release()
    this.#release = release
    // After the attempt no caller is left to end the hold, and without a usable token nothing needs it.
    if (attempt.isOver || !this.native.leaveRenewed(nativeTokens(latest), at)) this.release()
    return undefined
  }

  /** Ends the hold on the sign-in, once the exchange has ended. */
  release() {
    const release = this.#release
    this.#release = undefined
    // A lease that could not be released expires on its own.
    Promise.resolve(release?.()).catch(() => {})
  }

  #pass(token) {
    if (typeof token?.then === 'function') {
      Promise.resolve(token).catch(() => {})
      throw new TypeError('the sign-in function returned a promise, which a manual step cannot await: run the exchange instead')
    }
    if (typeof token !== 'string') throw new TypeError('the sign-in function must return a string')
    // A token read from a file ends with a line break.
    this.native.leave(checkUnicode(token, 'the token').trim())
  }

  #recordFailure(error) {
    this.failure = error
    this.native.leaveNone(`the sign-in failed: ${error instanceof OAuthError ? error.code : causeText(error)}`)
    return error
  }
}

module.exports = { SubjectTokenSource }
