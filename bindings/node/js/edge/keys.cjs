'use strict'

// Keys of a client, and keys that tokens are bound to, where WebCrypto signs.

const { callMethod } = require('./store.cjs')
const { KeyError, PrivateKey, generated, macOf } = require('./private-key.cjs')

/** The longest name of a DPoP key in a store, in bytes, and the format of its record: the same in every language. */
const MAX_NAME = 48
const FORMAT = 1
/** How many saves are tried before giving up on a store that always reports a conflict. */
const TRIES = 16
/** The algorithms of DPoP proofs, the usual one first. */
const DPOP = ['ES256', 'Ed25519', 'ES384', 'ES512', 'PS256', 'RS256', 'PS384', 'PS512', 'RS384', 'RS512']

/** Operations on keys, for the native half. */
function keysOver(wasm, elsewhere) {
  const failed = (code, why) => new Error(wasm.errorOf(code, why))

  /** The parsed key, or an error in the form of the native half. */
  function read(text, passphrase) {
    const decrypt = passphrase === undefined ? undefined : (der) => wasm.decryptKey(der, passphrase)
    try {
      return new PrivateKey(text, decrypt)
    } catch (error) {
      throw error instanceof KeyError ? failed(error.code, error.message) : error
    }
  }

  /** How a key among several is called. */
  const nameOf = (key) => key.kid ?? wasm.thumbprint(publicText(key))

  function publicText(key) {
    if (key.publicJwk === undefined) throw elsewhere('the public half of a key in PEM without one, unlike that of a JWK,')
    return JSON.stringify(key.publicJwk)
  }

  /** A client that signs with private keys. */
  function clientOf(server, options, { keys: texts, passphrase, alg, kid, certificateThumbprint, audience }, used) {
    const keys = texts.map((text) => read(text, passphrase))
    const known = keys.map((key) => ({ kid: keys.length > 1 ? nameOf(key) : undefined, algs: key.algs }))
    const given = { keys: known, alg, kid, certificateThumbprint, audience }
    return wasm.NativeClient.ofKeys(server, options, given, keys.map(({ signer }) => signer), used)
  }

  /** A client that makes HMACs of its secret. */
  const macClientOf = (server, options, assertion) =>
    wasm.NativeClient.ofSecret(server, options, assertion, macOf(assertion.source))

  /** Takes the key of a client's settings. */
  function hold(text) {
    try {
      return new PrivateKey(text)
    } catch (error) {
      return error instanceof KeyError ? { code: error.code, why: error.message } : { code: 'key.malformed', why: 'it cannot be read' }
    }
  }

  /** The public halves of all keys, as a JWK Set. */
  function publicJwks({ keys: texts, passphrase, kid: named }) {
    const setup = (why) => failed('misuse.setup', why)
    if (texts.length > 1 && named !== undefined) throw setup('a kid and a certificate are of one key: several are named by their JWKs')
    const keys = texts.map((text) => read(text, passphrase)).map((key) => {
      const { kty, crv, x, y, n, e } = JSON.parse(publicText(key))
      return { kty, crv, x, y, n, e, kid: named ?? nameOf(key), use: 'sig', alg: key.alg }
    })
    if (keys.length === 0) throw setup('a client that signs has a key')
    if (new Set(keys.map(({ kid }) => kid)).size < keys.length) throw setup('two keys have one kid')
    return JSON.stringify({ keys })
  }

  /** The private key of each key object of this process. */
  const privates = new WeakMap()

  const isProof = (alg) => DPOP.includes(alg) || alg === 'EdDSA'

  const dpop = {
    /** A new one. WebCrypto makes it, and so it is there later. */
    async generate(alg) {
      if (!isProof(alg)) throw failed('key.algorithm', alg)
      const made = generated(alg).then((pem) => new PrivateKey(pem).whole())
      // Not every runtime supports every curve.
      const whole = await made.catch(({ message }) => { throw failed('key.algorithm', message) })
      return dpop.read(whole, alg)
    },
    /** Out of PEM or a JWK: for this algorithm, or the first that the key supports. */
    read(text, alg, passphrase) {
      const key = read(text, passphrase)
      const fit = (alg === undefined ? DPOP : [alg]).find((name) => key.algs.includes(name))
      if (fit === undefined) throw failed('key.algorithm', 'the key does not support this algorithm, or has a size that is not allowed')
      const native = wasm.NativeDpopKey.of(fit, publicText(key), key.signer)
      privates.set(native, key)
      return native
    },
    /** Its private half, unless it is held elsewhere. */
    pemOf(native) {
      const key = privates.get(native)
      if (key === undefined) throw failed('misuse.setup', 'this key lives elsewhere, and stays there')
      return key.pem
    },
    /** One that is held elsewhere. */
    held(alg, publicJwk, handler) {
      const signer = (key, _, input) => ({
        signature: async () => {
          const record = new TextDecoder().decode(input)
          const { signature, why, failure } = await callMethod('key holder', handler, { verb: 'sign', key, record })
          if (signature === undefined) throw new Error(failure?.text ?? why)
          return signature
        },
      })
      return wasm.NativeDpopKey.of(alg, publicJwk, signer)
    },
  }

  /** The key of this name in a store, as a JWK; the first caller creates it. */
  async function dpopKeyIn(store, name, alg) {
    const isText = name !== '' && !/\p{Cc}/u.test(name) && new TextEncoder().encode(name).length <= MAX_NAME
    if (!isText) throw failed('misuse.setup', 'the name of the DPoP key')
    if (!isProof(alg)) throw failed('key.algorithm', alg)
    const key = `dpop-key:${name}`
    const said = async (question) => {
      const { failure, why, ...answer } = await store.ask(question)
      if (failure !== undefined) throw new Error(failure.text)
      if (why !== undefined) throw failed('lost.unknown', why)
      return answer
    }
    let pem
    for (let tries = 0; tries < TRIES; tries += 1) {
      const { version = 0, record } = await said({ verb: 'load', key })
      // An empty record is a tombstone.
      if (record) return { record: await stored(record, alg) }
      pem ??= await generated(alg)
      const text = JSON.stringify({ version: FORMAT, alg, private_key: pem })
      // No caller gets a key that is not stored: its tokens would be lost with this process.
      const saved = await said({ verb: 'save', key, record: text, version })
      if (saved.version !== undefined) return { record: await stored(text, alg) }
    }
    throw failed('store.conflict', 'every save met another')
  }

  async function stored(text, wanted) {
    const { version, alg, private_key: pem } = parsed(text)
    if (version !== FORMAT) throw failed('stored.malformed', 'version')
    if (alg !== wanted) throw failed('key.algorithm', `the stored key is for ${alg}`)
    const key = hold(String(pem))
    if (!(key instanceof PrivateKey)) throw failed('stored.malformed', 'key')
    return key.whole().catch(() => { throw failed('stored.malformed', 'key') })
  }

  function parsed(text) {
    try {
      return JSON.parse(text)
    } catch {
      throw failed('stored.malformed', 'key')
    }
  }

  return { clientOf, dpop, dpopKeyIn, hold, holdSecret: macOf, macClientOf, publicJwks }
}

module.exports = { keysOver }
