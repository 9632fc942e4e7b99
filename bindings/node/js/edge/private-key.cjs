'use strict'

// Private keys for WebCrypto, from PEM (PKCS#8, PKCS#1, SEC1) or a JWK. Keys are checked here to the extent possible
// without signing, because WebCrypto reports errors only asynchronously.

const { algorithms } = require('../webcrypto.cjs')
const { IDENTIFIERS, RSA_MEMBERS, TAGS } = require('./der.cjs')
const { pemOfDer, pemOfJwk } = require('./pkcs8.cjs')

const { INTEGER, BIT_STRING, OCTET_STRING, OBJECT_IDENTIFIER, SEQUENCE, CONTEXT_0, CONTEXT_1, CONTEXT_1_BIT_STRING } = TAGS

/** The error of a private key that cannot be parsed or used. */
class KeyError extends Error {
  constructor(code, reason) {
    super(reason)
    this.code = code
  }
}

const malformed = () => new KeyError('key.malformed', 'neither a private key in PEM (PKCS#8, PKCS#1, SEC1) nor a private JWK (of RSA, with two primes and their exponents)')
const unsuitableKey = () => new KeyError('key.algorithm', 'the key does not support this algorithm, or has a size that is not allowed')
const otherwiseUsed = () => new KeyError('key.algorithm', "the key's use or key_ops does not permit this")
const encrypted = () => new KeyError('key.encrypted', '')
const ENCRYPTED = 'ENCRYPTED PRIVATE KEY'
const UNSUPPORTED_ENCRYPTION = 'the key is encrypted otherwise than by PBES2 with PBKDF2 of at most ten million iterations and AES-CBC: convert it with openssl pkcs8 -topk8 -v2 aes256'

/** The largest text that is read, in characters. */
const MAX_TEXT = 64 << 10
/** The sizes of RSA keys, in bytes. */
const RSA_BYTES = { least: 256, most: 1024 }

/** Curves by their object identifiers in DER: name, length of the numbers, and signature algorithm. */
const CURVES = {
  [IDENTIFIERS['P-256']]: { crv: 'P-256', length: 32, algs: ['ES256'] },
  [IDENTIFIERS['P-384']]: { crv: 'P-384', length: 48, algs: ['ES384'] },
  [IDENTIFIERS['P-521']]: { crv: 'P-521', length: 66, algs: ['ES512'] },
}
const ED25519 = { length: 32, algs: ['Ed25519', 'EdDSA'] }
const RSA_ALGORITHMS = ['RS256', 'PS256', 'RS384', 'RS512', 'PS384', 'PS512']

const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
const base64url = (bytes) => btoa(String.fromCharCode(...bytes)).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')

/** Decodes base64; throws if it is malformed. */
function decoded(text) {
  try {
    return Uint8Array.from(atob(text), (char) => char.charCodeAt(0))
  } catch {
    throw malformed()
  }
}

/** Decodes a member of a JWK (base64url). */
function decodeMember(text) {
  if (typeof text !== 'string' || !/^[\w-]+$/.test(text)) throw malformed()
  return decoded(text.replaceAll('-', '+').replaceAll('_', '/'))
}

/** Splits DER into its elements (X.690): their tags and contents. */
function elements(bytes) {
  const found = []
  for (let at = 0; at < bytes.length;) {
    const tag = bytes[at]
    let length = bytes[at + 1]
    at += 2
    if (length >= 0x80) {
      const many = length - 0x80
      // DER forbids the indefinite length.
      if (many === 0 || many > 3 || at + many > bytes.length) throw malformed()
      length = bytes.subarray(at, at + many).reduce((sum, byte) => (sum * 256) + byte, 0)
      at += many
    }
    // A truncated element has an undefined length.
    if (!(at + length <= bytes.length)) throw malformed()
    found.push({ tag, content: bytes.subarray(at, at + length) })
    at += length
  }
  return found
}

/** The content of the first element with this tag. */
function findContent(list, tag) {
  const found = list.find((element) => element.tag === tag)
  if (found === undefined) throw malformed()
  return found.content
}

/** The content of a sequence, which must be the whole input. */
function sequence(der) {
  const [outer, ...more] = elements(der)
  if (outer?.tag !== SEQUENCE || more.length > 0) throw malformed()
  return elements(outer.content)
}

/** `RSAPrivateKey` (RFC 8017 appendix A.1.2) as a JWK. */
function rsaJwk(der) {
  const [version, ...numbers] = sequence(der)
  if (version?.tag !== INTEGER || numbers.length !== RSA_MEMBERS.length) throw malformed()
  if (numbers.some(({ tag }) => tag !== INTEGER)) throw malformed()
  const text = ({ content }) => base64url(content[0] === 0 ? content.subarray(1) : content)
  return { kty: 'RSA', ...Object.fromEntries(RSA_MEMBERS.map((name, at) => [name, text(numbers[at])])) }
}

/** `ECPrivateKey` (RFC 5915 section 3) as a JWK; it may lack the public key. */
function ecJwk(der, named) {
  const parts = sequence(der)
  const privatePart = parts.find(({ tag }) => tag === CONTEXT_0)
  const curve = CURVES[hex(named ?? findContent(elements(privatePart?.content ?? new Uint8Array()), OBJECT_IDENTIFIER))]
  if (curve === undefined) throw unsuitableKey()
  const { crv, length } = curve
  const d = findContent(parts, OCTET_STRING)
  const jwk = { kty: 'EC', crv, d: base64url(d) }
  const publicBits = parts.find(({ tag }) => tag === CONTEXT_1)
  if (publicBits === undefined) return jwk
  const point = findContent(elements(publicBits.content), BIT_STRING).subarray(1)
  if (point[0] !== 4 || point.length !== 1 + (2 * length)) throw malformed()
  return { ...jwk, x: base64url(point.subarray(1, 1 + length)), y: base64url(point.subarray(1 + length)) }
}

/** PKCS#8 (RFC 5958) as a JWK, without the public members if it contains none. */
function pkcs8Jwk(der) {
  const parts = sequence(der)
  const [kind, parameter] = elements(findContent(parts, SEQUENCE))
  const inner = findContent(parts, OCTET_STRING)
  switch (hex(kind?.content ?? [])) {
    case IDENTIFIERS.RSA: return rsaJwk(inner)
    case IDENTIFIERS.EC: return ecJwk(inner, parameter?.tag === OBJECT_IDENTIFIER ? parameter.content : new Uint8Array())
    case IDENTIFIERS.OKP: {
      const jwk = { kty: 'OKP', crv: 'Ed25519', d: base64url(findContent(elements(inner), OCTET_STRING)) }
      const publicBits = parts.find(({ tag }) => tag === CONTEXT_1_BIT_STRING)
      return publicBits === undefined ? jwk : { ...jwk, x: base64url(publicBits.content.subarray(1)) }
    }
    default: throw unsuitableKey()
  }
}

const PEM = /-----BEGIN ([A-Z0-9 ]*PRIVATE KEY)-----([^]*?)-----END \1-----/

function parsePem(text, decrypt) {
  const [, named, body] = PEM.exec(text) ?? []
  if (named === undefined) throw malformed()
  // The encryption of PEM itself (RFC 1421), which OpenSSL still supports for old files, is not supported.
  if (named !== ENCRYPTED && body.includes('ENCRYPTED')) throw decrypt ? new KeyError('key.malformed', UNSUPPORTED_ENCRYPTION) : encrypted()
  if (named === ENCRYPTED && decrypt === undefined) throw encrypted()
  const encodedKey = decoded(body.replace(/\s+/g, ''))
  const [label, der] = named === ENCRYPTED ? ['PRIVATE KEY', decrypted(encodedKey, decrypt)] : [named, encodedKey]
  switch (label) {
    case 'PRIVATE KEY': return { jwk: pkcs8Jwk(der), pkcs8: der }
    case 'RSA PRIVATE KEY': return { jwk: rsaJwk(der) }
    case 'EC PRIVATE KEY': return { jwk: ecJwk(der) }
    default: throw unsuitableKey()
  }
}

/** A key without its encryption: `decrypt` throws the code of its error. */
function decrypted(der, decrypt) {
  try {
    return decrypt(der)
  } catch (code) {
    if (typeof code !== 'string') throw code
    throw new KeyError(code, code === 'key.malformed' ? UNSUPPORTED_ENCRYPTION : '')
  }
}

function parseJwk(text) {
  let jwk
  try {
    jwk = JSON.parse(text)
  } catch {
    throw malformed()
  }
  return { jwk }
}

/** A private key. No member reveals it except `pem` and `exportJwk`. */
class PrivateKey {
  #jwk
  #pkcs8
  #imported = new Map()

  /** `decrypt` decrypts an `EncryptedPrivateKeyInfo` in DER, if there is a passphrase for that. */
  constructor(text, decrypt) {
    if (text.length > MAX_TEXT) throw malformed()
    const { jwk, pkcs8 } = text.trimStart().startsWith('{') ? parseJwk(text) : parsePem(text, decrypt)
    if (!isForSigning(jwk)) throw otherwiseUsed()
    const { algs, members } = inspectJwk(jwk)
    for (const name of ['alg', 'kid']) if (jwk[name] === '' || !['undefined', 'string'].includes(typeof jwk[name])) throw malformed()
    this.algs = jwk.alg === undefined ? algs : algs.filter((name) => name === jwk.alg)
    this.kid = jwk.kid
    this.alg = jwk.alg
    this.#jwk = Object.fromEntries(members.filter((name) => jwk[name] !== undefined).map((name) => [name, jwk[name]]))
    this.#pkcs8 = pkcs8
    const isWhole = members.every((name) => jwk[name] !== undefined)
    if (!isWhole && pkcs8 === undefined) throw malformed()
    this.isWhole = isWhole
    Object.freeze(this)
  }

  /** The public key; `undefined` for PKCS#8 without one. */
  get publicJwk() {
    if (!this.isWhole) return undefined
    const { kty, crv, x, y, n, e } = this.#jwk
    return { kty, crv, x, y, n, e }
  }

  /** Signs a job of the native half. */
  signer = (keyId, alg, input) => ({ signature: () => this.#sign(alg, input) })

  async #sign(alg, input) {
    const [kind, signParams] = algorithms(alg)
    // Stores the key rather than its promise: no request of a Worker may wait for another request's promise.
    let key = this.#imported.get(alg)
    if (key === undefined) {
      key = await this.#import(kind, false)
      this.#imported.set(alg, key)
    }
    return new Uint8Array(await crypto.subtle.sign(signParams, key, input))
  }

  #import(kind, isExtractable) {
    const [format, data] = this.isWhole ? ['jwk', this.#jwk] : ['pkcs8', this.#pkcs8]
    return crypto.subtle.importKey(format, data, kind, isExtractable, ['sign'])
  }

  /** The key as PKCS#8 in PEM. */
  get pem() {
    return this.isWhole ? pemOfJwk(this.#jwk) : pemOfDer(this.#pkcs8)
  }

  /** The private key as a JWK with its public members, which WebCrypto computes if they are missing. */
  async exportJwk() {
    if (this.isWhole) return JSON.stringify(this.#jwk)
    const [kind] = algorithms(this.algs[0])
    const { key_ops: _, ext: __, ...jwk } = await crypto.subtle.exportKey('jwk', await this.#import(kind, true))
    return JSON.stringify({ ...jwk, alg: this.alg })
  }
}

/** Whether `use` and `key_ops` permit signatures (RFC 7517 sections 4.2 and 4.3). */
function isForSigning({ use = 'sig', key_ops = ['sign'] }) {
  return use === 'sig' && Array.isArray(key_ops) && key_ops.includes('sign')
}

/** The algorithms with which a JWK can sign, and its members (RFC 7518 section 6, RFC 8037 section 2). */
function inspectJwk(jwk) {
  if (jwk.kty === 'RSA') {
    // A key with more than two primes must not be used without support for them (RFC 7518 section 6.3.2.7).
    if (jwk.oth !== undefined) throw malformed()
    const { length } = decodeMember(jwk.n)
    for (const name of RSA_MEMBERS) decodeMember(jwk[name])
    if (length < RSA_BYTES.least || length > RSA_BYTES.most) throw unsuitableKey()
    return { algs: RSA_ALGORITHMS, members: ['kty', ...RSA_MEMBERS] }
  }
  const isEd = jwk.kty === 'OKP'
  if (!isEd && jwk.kty !== 'EC') throw malformed()
  const curve = isEd ? jwk.crv === 'Ed25519' && ED25519 : Object.values(CURVES).find(({ crv }) => crv === jwk.crv)
  if (!curve) throw unsuitableKey()
  const numbers = isEd ? ['d', 'x'] : ['d', 'x', 'y']
  for (const name of numbers) {
    const isThere = name === 'd' || jwk[name] !== undefined
    if (isThere && decodeMember(jwk[name]).length !== curve.length) throw malformed()
  }
  return { algs: curve.algs, members: ['kty', 'crv', ...numbers] }
}

/** A signer that computes HMACs with a secret. */
const createMacSigner = (secret) => (keyId, alg, input) => ({
  signature: async () => {
    const [kind, signParams] = algorithms(alg)
    const key = await crypto.subtle.importKey('raw', new TextEncoder().encode(secret), kind, false, ['sign'])
    return new Uint8Array(await crypto.subtle.sign(signParams, key, input))
  },
})

/** A new key of this algorithm, as PKCS#8 in PEM. */
async function generated(alg) {
  const [kind] = algorithms(alg)
  const rsa = { modulusLength: 2048, publicExponent: new Uint8Array([1, 0, 1]) }
  const isRsa = RSA_ALGORITHMS.includes(alg)
  const { privateKey } = await crypto.subtle.generateKey(isRsa ? { ...kind, ...rsa } : kind, true, ['sign', 'verify'])
  return pemOfDer(new Uint8Array(await crypto.subtle.exportKey('pkcs8', privateKey)))
}

module.exports = { KeyError, PrivateKey, generated, createMacSigner }
