'use strict'

// Verifies signatures and hashes with WebCrypto, for runtimes whose native half contains no algorithms.

const encode = (text) => new TextEncoder().encode(text)

/** The WebCrypto parameters of a JWS algorithm: for importing its keys, and for signing (RFC 7518 section 3, RFC 8037). */
function algorithms(alg) {
  const hash = `SHA-${alg.slice(2)}`
  if (alg.startsWith('HS')) return [{ name: 'HMAC', hash }, 'HMAC']
  if (alg.startsWith('RS')) return [{ name: 'RSASSA-PKCS1-v1_5', hash }, 'RSASSA-PKCS1-v1_5']
  if (alg.startsWith('PS')) return [{ name: 'RSA-PSS', hash }, { name: 'RSA-PSS', saltLength: alg.slice(2) / 8 }]
  // JWS names it `Ed25519`, or `EdDSA` after its family.
  if (alg.startsWith('Ed')) return ['Ed25519', 'Ed25519']
  const namedCurve = alg === 'ES512' ? 'P-521' : `P-${alg.slice(2)}`
  return [{ name: 'ECDSA', namedCurve }, { name: 'ECDSA', hash }]
}

/** Whether a signature is valid. Rejects if the runtime does not support the algorithm. */
async function isSigned({ verifies, jwk, secret, input, signature }) {
  const [kind, verifyParams] = algorithms(verifies)
  try {
    const [format, key] = jwk === undefined ? ['raw', secret] : ['jwk', JSON.parse(jwk)]
    const imported = await crypto.subtle.importKey(format, key, kind, false, ['verify'])
    return await crypto.subtle.verify(verifyParams, imported, signature, input)
  } catch (error) {
    // The key is malformed or of the wrong type, so it cannot have made this signature.
    if (error.name === 'DataError') return false
    throw error
  }
}

/** Whether a string is the left half of a hash in base64url (OpenID Connect Core section 3.1.3.6). */
async function isHalf({ hash, value, half }) {
  const digest = await crypto.subtle.digest(hash, encode(value))
  const leftHalf = new Uint8Array(digest, 0, digest.byteLength / 2)
  return btoa(String.fromCharCode(...leftHalf)).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '') === half
}

const verified = (job) => (job.job === 'half_hash' ? isHalf(job) : isSigned(job))

module.exports = { algorithms, verified }
