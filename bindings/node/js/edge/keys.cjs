'use strict'

// Client keys and DPoP keys in edge runtimes, where WebCrypto signs.

const { callMethod } = require('./store.cjs')
const { KeyError, PrivateKey, generated, createMacSigner } = require('./private-key.cjs')

/** The longest name of a DPoP key in a store, in bytes, and the format of its record: the same in every language. */
const MAX_NAME = 48
const RECORD_VERSION = 1
/** The algorithms of HMACs, and how many bytes a secret has at least. */
const MAC_BYTES = { HS256: 32, HS384: 48, HS512: 64 }
/** Why settings for one key are refused. */
const OF_ONE = 'kid: a kid and a certificate can be given for one key only: set the kid of several keys in their JWKs'
/** The number of saves that are tried at a store that always reports a conflict. */
const MAX_SAVE_ATTEMPTS = 16
/** The algorithms of DPoP proofs, the usual one first. */
const DPOP_ALGORITHMS = ['ES256', 'Ed25519', 'ES384', 'ES512', 'PS256', 'RS256', 'PS384', 'PS512', 'RS384', 'RS512']

/** Operations on keys, for the native half. */
function keysOver(wasm, notSupportedHere) {
  const failed = (code, reason) => new Error(wasm.errorMessage(code, reason))

  /** The parsed key, or an error in the form of the native half. */
  function read(text, passphrase) {
    const decrypt = passphrase === undefined ? undefined : (der) => wasm.decryptKey(der, passphrase)
    try {
      return new PrivateKey(text, decrypt)
    } catch (error) {
      throw error instanceof KeyError ? failed(error.code, error.message) : error
    }
  }

  /** The `kid` of one key among several: its own, or its thumbprint. */
  const keyName = (key) => key.kid ?? wasm.thumbprint(publicText(key))

  function publicText(key) {
    if (key.publicJwk === undefined) throw notSupportedHere('the public half of a key in PEM without one, unlike that of a JWK,')
    return JSON.stringify(key.publicJwk)
  }

  /** A client that signs with private keys. */
  function createClient(server, options, { keys: texts, passphrase, alg, kid, certificateThumbprint, audience }, used) {
    const keys = texts.map((text) => read(text, passphrase))
    const keyDescriptions = keys.map((key) => ({ kid: keys.length > 1 ? keyName(key) : undefined, algs: key.algs }))
    const keySettings = { keys: keyDescriptions, alg, kid, certificateThumbprint, audience }
    return wasm.NativeClient.ofKeys(server, options, keySettings, keys.map(({ signer }) => signer), used)
  }

  /** A client that authenticates with HMACs (`client_secret_jwt`). */
  const createMacClient = (server, options, assertion) =>
    wasm.NativeClient.ofSecret(server, options, assertion, createMacSigner(assertion.source))

  /** Parses the private key in a client's settings; returns an error instead of throwing it. */
  function hold(text) {
    try {
      return new PrivateKey(text)
    } catch (error) {
      return error instanceof KeyError ? { code: error.code, why: error.message } : { code: 'key.malformed', why: 'the key cannot be parsed' }
    }
  }

  /**
   * Checks the values of an assertion to the extent possible without a server. A service account is refused by the
   * client.
   */
  function checkAssertion({ method, source, keys: texts, passphrase, alg, kid, certificateThumbprint }) {
    if (method === 'client_secret_jwt') return checkMac(source, alg)
    if (method !== 'private_key_jwt') return
    const keys = texts.map((text) => read(text, passphrase))
    const isOfOne = kid !== undefined || certificateThumbprint !== undefined
    if (keys.length > 1 && isOfOne) throw failed('arguments.inconsistent', OF_ONE)
    checkNames(keys.length > 1 ? keys.map(keyName) : keys)
    if (alg !== undefined && !keys.some(({ algs }) => algs.includes(alg))) throw failed('key.algorithm', `alg: ${alg}`)
  }

  function checkMac(secret, alg = 'HS256') {
    const minBytes = MAC_BYTES[alg]
    if (minBytes === undefined) throw failed('key.algorithm', `alg: ${alg}`)
    if (new TextEncoder().encode(secret).length < minBytes) throw failed('jws.key_too_small', `secret: ${alg} needs ${minBytes} bytes`)
  }

  /** Each key of a client has a name of its own, and there is one at least. */
  function checkNames(names) {
    if (names.length === 0) throw failed('client_auth.keys', 'key: none is given')
    if (new Set(names).size < names.length) throw failed('client_auth.keys', 'key: two keys have one kid')
  }

  /** The public halves of all keys, as a JWK Set. */
  function publicJwks({ keys: texts, passphrase, kid: named }) {
    if (texts.length > 1 && named !== undefined) throw failed('arguments.inconsistent', OF_ONE)
    const keys = texts.map((text) => read(text, passphrase)).map((key) => {
      const { kty, crv, x, y, n, e } = JSON.parse(publicText(key))
      return { kty, crv, x, y, n, e, kid: named ?? keyName(key), use: 'sig', alg: key.alg }
    })
    checkNames(keys.map(({ kid }) => kid))
    return JSON.stringify({ keys })
  }

  /** The private key of each key object of this process. */
  const privates = new WeakMap()

  const isProof = (alg) => DPOP_ALGORITHMS.includes(alg) || alg === 'EdDSA'

  const dpop = {
    /** Generates a key, asynchronously as WebCrypto does. */
    async generate(alg) {
      if (!isProof(alg)) throw failed('key.algorithm', alg)
      const generation = generated(alg).then((pem) => new PrivateKey(pem).exportJwk())
      // Not every runtime supports every curve.
      const complete = await generation.catch(({ message }) => { throw failed('key.algorithm', message) })
      return dpop.read(complete, alg)
    },
    /** Parses a key from PEM or a JWK: for this algorithm, or for the first that the key supports. */
    read(text, alg, passphrase) {
      const key = read(text, passphrase)
      const supported = (alg === undefined ? DPOP_ALGORITHMS : [alg]).find((name) => key.algs.includes(name))
      if (supported === undefined) throw failed('key.algorithm', 'the key does not support this algorithm, or has a size that is not allowed')
      const native = wasm.NativeDpopKey.of(supported, publicText(key), key.signer)
      privates.set(native, key)
      return native
    },
    /** The private key in PEM, unless it is held outside this process. */
    toPem(native) {
      const key = privates.get(native)
      if (key === undefined) throw failed('misuse.setup', 'this key is held outside this process and cannot be exported')
      return key.pem
    },
    /** A key held outside this process. */
    held(alg, publicJwk, handler) {
      const signer = (key, _, input) => ({
        signature: async () => {
          const record = new TextDecoder().decode(input)
          const { signature, why: reason, failure } = await callMethod('key holder', handler, { verb: 'sign', key, record })
          if (signature === undefined) throw new Error(failure?.text ?? reason)
          return signature
        },
      })
      return wasm.NativeDpopKey.of(alg, publicJwk, signer)
    },
  }

  /** The key of this name in a store, as a JWK; the first caller creates it. */
  async function dpopKeyIn(store, name, alg) {
    const isText = name !== '' && !/\p{Cc}/u.test(name) && new TextEncoder().encode(name).length <= MAX_NAME
    if (!isText) throw failed('argument.invalid', 'the name of the DPoP key')
    if (!isProof(alg)) throw failed('key.algorithm', alg)
    const key = `dpop-key:${name}`
    const callStore = async (request) => {
      const { failure, why: reason, ...result } = await store.call(request)
      if (failure !== undefined) throw new Error(failure.text)
      if (reason !== undefined) throw failed('lost.unknown', reason)
      return result
    }
    let pem
    for (let tries = 0; tries < MAX_SAVE_ATTEMPTS; tries += 1) {
      const { version = 0, record } = await callStore({ verb: 'load', key })
      // An empty record is a tombstone.
      if (record) return { record: await stored(record, alg) }
      pem ??= await generated(alg)
      const text = JSON.stringify({ version: RECORD_VERSION, alg, private_key: pem })
      // No caller gets a key that is not stored: its tokens would be lost with this process.
      const saved = await callStore({ verb: 'save', key, record: text, version })
      if (saved.version !== undefined) return { record: await stored(text, alg) }
    }
    throw failed('store.conflict', 'every save conflicted with another')
  }

  async function stored(text, requiredAlg) {
    const { version, alg, private_key: pem } = parsed(text)
    if (version !== RECORD_VERSION) throw failed('stored.malformed', 'version')
    if (alg !== requiredAlg) throw failed('key.algorithm', `the stored key is for ${alg}`)
    const key = hold(String(pem))
    if (!(key instanceof PrivateKey)) throw failed('stored.malformed', 'key')
    return key.exportJwk().catch(() => { throw failed('stored.malformed', 'key') })
  }

  function parsed(text) {
    try {
      return JSON.parse(text)
    } catch {
      throw failed('stored.malformed', 'key')
    }
  }

  return { checkAssertion, clientOf: createClient, dpop, dpopKeyIn, hold, holdSecret: createMacSigner, macClientOf: createMacClient, publicJwks }
}

module.exports = { keysOver }
