'use strict'

// `DpopKey`: the private key to which tokens are bound (RFC 9449).

const { inspect } = require('#host')
const native = require('#native')
const { keyHolderCallbacks } = require('./callbacks.cjs')
const { errorFromNative, callNative } = require('./errors.cjs')
const { kindError } = require('./kinds.cjs')
const { checkOptions } = require('./options.cjs')
const { checkText } = require('./paths.cjs')
const { loadDpopKey } = require('./stores.cjs')

/** A private key that tokens are bound to (RFC 9449). `inspect` shows only its thumbprint. */
class DpopKey {
  #native

  constructor(key, options) {
    const { alg, passphrase } = checkOptions('DpopKey', options)
    if (key instanceof native.NativeDpopKey) this.#native = key
    else this.#native = callNative(() => native.NativeDpopKey.read(checkText(key, 'key'), alg, passphrase))
  }

  /** A new key, in memory. */
  static async generate(options) {
    const { alg = 'ES256' } = checkOptions('DpopKey.generate', options)
    try {
      return new DpopKey(await native.NativeDpopKey.generate(checkText(alg, 'alg')))
    } catch (error) {
      throw errorFromNative(error)
    }
  }

  /** The key with this name in a store, shared by all workers; the first that needs it generates it. */
  static async open(store, name, options) {
    const { alg = 'ES256' } = checkOptions('DpopKey.open', options)
    return new DpopKey(await loadDpopKey(store, checkText(name, 'name'), checkText(alg, 'alg')), { alg })
  }

  /** A key held outside this process, for example in an HSM: `sign` signs each proof. */
  static held(publicJwk, sign, options) {
    const { alg = 'ES256' } = checkOptions('DpopKey.held', options)
    if (typeof sign !== 'function') throw new TypeError('sign must be a function')
    const text = typeof publicJwk === 'string' ? publicJwk : JSON.stringify(publicJwk)
    const callbacks = keyHolderCallbacks(sign, checkText(alg, 'alg'))
    return new DpopKey(callNative(() => native.NativeDpopKey.held(alg, checkText(text, 'publicJwk'), callbacks)))
  }

  get thumbprint() { return this.#native.thumbprint }

  /** The public key, as a JWK. */
  publicJwk() { return JSON.parse(this.#native.publicJwk()) }

  /** The private key as PKCS#8 in PEM: a secret. */
  privatePem() { return callNative(() => this.#native.privatePem()) }

  /** The native half of a key. */
  static native(key) {
    if (typeof key !== 'object' || key === null || !(#native in key)) throw kindError('dpopKey must be a DpopKey', key)
    return key.#native
  }

  [inspect.custom](depth, options) {
    return `DpopKey ${inspect({ thumbprint: this.thumbprint }, options)}`
  }
}

module.exports = { DpopKey }
