'use strict'

// Writes private keys as PKCS#8 in PEM (RFC 5958, RFC 7468), synchronously, which WebCrypto cannot.

const { IDENTIFIERS, RSA_MEMBERS, TAGS } = require('./der.cjs')

const { INTEGER, BIT_STRING, OCTET_STRING, NULL, OBJECT_IDENTIFIER, SEQUENCE, CONTEXT_1 } = TAGS

const fromHex = (text) => Array.from(text.match(/../g), (pair) => Number.parseInt(pair, 16))

function encodeLength(length) {
  if (length < 0x80) return [length]
  const bytes = length < 0x100 ? [length] : [length >> 8, length & 0xff]
  return [0x80 + bytes.length, ...bytes]
}

/** A DER element: its tag and its content. */
const element = (tag, ...contents) => {
  const content = contents.flat()
  return [tag, ...encodeLength(content.length), ...content]
}

/** The bytes of a JWK member in base64url. */
const decodeBase64url = (text) => Array.from(atob(text.replaceAll('-', '+').replaceAll('_', '/')), (char) => char.charCodeAt(0))

/** A DER INTEGER of these unsigned big-endian bytes, in its shortest form. */
function integerElement(bytes) {
  const first = bytes.findIndex((byte) => byte !== 0)
  const withoutZeros = first < 0 ? [0] : bytes.slice(first)
  return element(INTEGER, withoutZeros[0] < 0x80 ? withoutZeros : [0, ...withoutZeros])
}

/** The content of the OCTET STRING `privateKey`, in the format of the key type: RFC 8017 appendix A.1.2, RFC 5915 section 3, RFC 8410 section 7. */
function encodePrivateKey(jwk) {
  switch (jwk.kty) {
    case 'RSA': return element(SEQUENCE, integerElement([0]), ...RSA_MEMBERS.map((name) => integerElement(decodeBase64url(jwk[name]))))
    case 'EC': {
      const point = element(BIT_STRING, [0, 4], decodeBase64url(jwk.x), decodeBase64url(jwk.y))
      return element(SEQUENCE, integerElement([1]), element(OCTET_STRING, decodeBase64url(jwk.d)), element(CONTEXT_1, point))
    }
    default: return element(OCTET_STRING, decodeBase64url(jwk.d))
  }
}

const oidElement = (name) => element(OBJECT_IDENTIFIER, fromHex(IDENTIFIERS[name]))

/** A private JWK as the DER of PrivateKeyInfo (RFC 5958 section 2). */
function encodeDer(jwk) {
  const parameter = { RSA: element(NULL), EC: IDENTIFIERS[jwk.crv] && oidElement(jwk.crv) }[jwk.kty] ?? []
  return element(SEQUENCE, integerElement([0]), element(SEQUENCE, oidElement(jwk.kty), parameter), element(OCTET_STRING, encodePrivateKey(jwk)))
}

/** DER as PEM. */
function pemOfDer(der) {
  const lines = btoa(String.fromCharCode(...der)).match(/.{1,64}/g)
  return ['-----BEGIN PRIVATE KEY-----', ...lines, '-----END PRIVATE KEY-----', ''].join('\n')
}

/** A private JWK as PEM. */
const pemOfJwk = (jwk) => pemOfDer(encodeDer(jwk))

module.exports = { pemOfDer, pemOfJwk }
