'use strict'

// Client authentication: one class or function for each method.

const native = require('#native')
const { OAuthError, callNative } = require('./errors.cjs')
const { causeText, waitFor } = require('./exchange.cjs')
const { assertionCallbacks } = require('./callbacks.cjs')
const { checkOptions } = require('./options.cjs')
const { checkText, toPath } = require('./paths.cjs')
const { checkUnicode } = require('./unicode.cjs')

/** The longest time that a function may take to return a token, in milliseconds. */
const MAX_WAIT = 30_000

/** The lifetime that a workload token must have left for a request, in milliseconds; the same as in the core. */
const MIN_LIFETIME = 60_000

/**
 * A workload's token that a function of the application returns. The native transport calls the function when it needs
 * the token, and keeps the process alive until then. A step on the event loop cannot wait for it, so the token is stored
 * in the addon before the step.
 */
class AssertionFunction {
  #read
  #audience

  constructor(read, audience) {
    this.#read = read
    this.#audience = audience
    this.native = callNative(() => native.NativeAssertionSource.of(assertionCallbacks((request) => this.#token(request, {}))))
  }

  /** A reader of this assertion, for the exchanges of a client of `issuer`. */
  of(issuer) {
    return new ReadAssertion(this, this.#audience ?? issuer)
  }

  /** Reads it for the next step: returns the function that stores it in the addon. */
  async read(request, { signal, timeoutMs = MAX_WAIT }) {
    try {
      const token = await this.#token(request, { signal, timeoutMs: Math.min(timeoutMs, MAX_WAIT) })
      return () => this.native.leave(token)
    } catch (error) {
      signal?.throwIfAborted()
      return () => this.#recordFailure(error)
    }
  }

  /** Reads the assertion synchronously, for a step taken by the caller's own driver: the function must return a string, not a promise. */
  readAtOnce(request) {
    let token
    try {
      token = this.#read(request)
      if (typeof token?.then !== 'function') checkToken(token)
    } catch (error) {
      return this.#recordFailure(error)
    }
    if (typeof token !== 'string') {
      Promise.resolve(token).catch(() => {})
      throw new TypeError('the assertion function returned a promise, which a manual step cannot await: run the exchange instead')
    }
    this.native.leave(token)
  }

  #recordFailure(error) {
    const failureText = isLate(error) ? 'did not answer in time' : `threw ${causeText(error)}`
    this.native.leaveNone(`the assertion function ${failureText}`)
    return error
  }

  /** Calls the function. Its error is kept, so that it can be reported as the cause. */
  async #token(request, limits) {
    this.failure = undefined
    try {
      return checkToken(await waitFor(Promise.resolve(request).then(this.#read), limits))
    } catch (error) {
      this.failure = error
      throw error
    }
  }
}

/** A function's token for one audience. */
class ReadAssertion {
  #source
  #audience

  constructor(source, audience) {
    this.#source = source
    this.#audience = audience
  }

  get failure() { return this.#source.failure }

  read(at, limits) { return this.#source.read(this.#assertionRequest(at), limits) }
  readAtOnce(at) { return this.#source.readAtOnce(this.#assertionRequest(at)) }

  /** The request for an assertion at a time, by default now. */
  #assertionRequest(at) {
    const now = at === undefined ? Date.now() : at.now * 1000
    return { audience: this.#audience, expiresAt: new Date(now + MIN_LIFETIME) }
  }
}

const isLate = (error) => error instanceof OAuthError && error.code === 'lost.timeout'

function checkToken(token) {
  if (typeof token !== 'string') throw new TypeError('an assertion function must return a string')
  return checkUnicode(token, 'the assertion')
}

/** Client authentication other than by a secret: the `clientAuth` of a client. */
class ClientAuth {
  #assertion
  #function
  #settings
  #used

  constructor(assertion, read, settings) {
    this.#assertion = assertion
    // Each client reads the keys again, so the servers for which they have signed are recorded here.
    if (assertion.method === 'private_key_jwt') this.#used = new native.NativeKeyUse()
    this.#function = read
    this.#settings = settings
    Object.freeze(this)
  }

  get method() {
    const { method } = this.#assertion
    return ['file', 'function', 'workload'].includes(method) ? 'private_key_jwt' : method
  }

  /** The public halves of all keys, as a JWK Set (RFC 7517 section 5). */
  publicJwks() {
    if (this.#assertion.method !== 'private_key_jwt') throw new TypeError('publicJwks: only privateKeyJwt has public keys')
    return JSON.parse(callNative(() => native.publicJwks(this.#assertion)))
  }

  /** The arguments of the native half for a `clientAuth` option. */
  static of(clientAuth) {
    if (clientAuth instanceof ClientAuth) {
      const [settings, assertion, read, used] = [clientAuth.#settings, clientAuth.#assertion, clientAuth.#function, clientAuth.#used]
      return settings ? { settings } : { assertion, read, used }
    }
    if (clientAuth !== undefined && typeof clientAuth !== 'string') {
      throw new TypeError('clientAuth must be a name, or the result of privateKeyJwt, clientSecretJwt, assertionFile or assertionFunction')
    }
    return { clientAuth }
  }
}

/** An assertion whose values are valid, to the extent possible without a server. */
function checked(assertion) {
  callNative(() => native.checkAssertion(assertion))
  return new ClientAuth(assertion)
}

/** `private_key_jwt` (RFC 7523 section 2.2). */
function privateKeyJwt(key, options) {
  const { alg, kid, certificateThumbprint, audience, passphrase } = checkOptions('privateKeyJwt', options)
  if (passphrase !== undefined) checkText(passphrase, 'passphrase')
  const keys = (Array.isArray(key) ? key : [key]).map((key) => checkText(key, 'key'))
  return checked({ method: 'private_key_jwt', source: '', keys, passphrase, alg, kid, certificateThumbprint, audience })
}

/** `client_secret_jwt` (RFC 7523 section 2.2). */
function clientSecretJwt(secret, options) {
  const { alg, audience } = checkOptions('clientSecretJwt', options)
  return checked({ method: 'client_secret_jwt', source: checkText(secret, 'secret'), alg, audience })
}

/** A service account of Google (RFC 7523 section 2.1). */
function serviceAccount(file, options) {
  const { subject } = checkOptions('serviceAccount', options)
  return checked({ method: 'service_account', source: checkText(file, 'file'), subject })
}

/** How a workload's token is used: in place of a key, or in exchange for the client's own tokens. */
function assertionOptions(call, options) {
  const { audience, profile, clientId, exchangeAudience } = checkOptions(call, options)
  if (exchangeAudience !== undefined && profile === 'spiffe_jwt') {
    throw new TypeError('profile is of tokens in place of a key, and not of exchanged ones')
  }
  return { audience, profile, clientId, exchangeAudience }
}

/** A workload's token in a file (RFC 7521 section 4.2). */
function assertionFile(path, options) {
  return new ClientAuth({ method: 'file', source: toPath(path), ...assertionOptions('assertionFile', options) })
}

/** A workload's token that a function returns. */
function assertionFunction(read, options) {
  const settings = assertionOptions('assertionFunction', options)
  if (typeof read !== 'function') throw new TypeError('read must be a function that returns a token')
  const source = new AssertionFunction(read, settings.audience ?? settings.exchangeAudience)
  return new ClientAuth({ method: 'function', source: '', ...settings }, source)
}

/** The identity of a workload, proved by a token that its platform issues (RFC 7521 section 4.2). */
function workloadIdentity(platform, options) {
  const { path, variable, audience, clientId, exchangeAudience, env } = checkOptions('workloadIdentity', options)
  const tokenPath = path === undefined ? undefined : toPath(path)
  const workload = { platform: checkText(platform, 'platform'), path: tokenPath, variable, exchangeAudience, env: toVariables(env) }
  return new ClientAuth({ method: 'workload', source: '', audience, clientId, workload })
}

/** The types of variables in `env`: the `env` of a Worker also contains databases and other bindings. */
const VARIABLE_TYPES = ['string', 'number', 'boolean']

/** The variables that are set, as the addon expects them. */
function toVariables(env) {
  if (env === undefined) return undefined
  if (typeof env !== 'object' || env === null) throw new TypeError('env must be an object of variables')
  return Object.fromEntries(Object.entries(env).filter(([, value]) => VARIABLE_TYPES.includes(typeof value)).map(([name, value]) => [name, String(value)]))
}

module.exports = {
  ClientAuth, assertionFile, assertionFunction, checkText, clientSecretJwt, privateKeyJwt, serviceAccount, toVariables, workloadIdentity,
}
