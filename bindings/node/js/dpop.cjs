'use strict'

const { inspect } = require('#host')
const native = require('#native')
const { lifted } = require('./errors.cjs')
const { dpopKeyOf } = require('./stores.cjs')

/** A private key that tokens are bound to (RFC 9449). It shows its thumbprint, and nothing else. */
class DpopKey {
  #native

  constructor(key, { alg, passphrase } = {}) {
    if (key instanceof native.NativeDpopKey) this.#native = key
    else this.#native = lifted(() => native.NativeDpopKey.read(String(key), alg, passphrase))
  }

  /** A new key, in memory. */
  static generate({ alg = 'ES256' } = {}) {
    return new DpopKey(lifted(() => native.NativeDpopKey.generate(String(alg))))
  }

  /** The key of this name in a store, which workers share as they share tokens; made by whoever asks first. */
  static async open(store, name, { alg = 'ES256' } = {}) {
    return new DpopKey(await dpopKeyOf(store, String(name), String(alg)), { alg })
  }

  get thumbprint() { return this.#native.thumbprint }

  /** Its public half, as a JWK. */
  publicJwk() { return JSON.parse(this.#native.publicJwk()) }

  /** The key as PKCS#8 in PEM, to keep where secrets belong. */
  privatePem() { return lifted(() => this.#native.privatePem()) }

  /** What the addon wants. */
  static native(key) {
    if (typeof key !== 'object' || key === null || !(#native in key)) throw new TypeError('dpopKey is a DpopKey')
    return key.#native
  }

  [inspect.custom](depth, options) {
    return `DpopKey ${inspect({ thumbprint: this.thumbprint }, options)}`
  }
}

module.exports = { DpopKey }
