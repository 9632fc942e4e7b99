// Verification and signatures by WebCrypto, since the module contains no algorithms.

/**
 * Carries out a step that verifies or signs: needed only for a sign-in with `openid`, a signed response, or a client
 * with a DPoP key.
 */
export async function resumeWithWebCrypto(exchange, step, sign, now = Date.now() / 1000) {
  const isProof = step.kind === 'sign'
  let result
  try {
    result = await (isProof ? sign(step.signingInput) : verified(step))
  } catch (error) {
    const failure = isProof ? 'cannot sign' : 'cannot verify it'
    return exchange.lost(now, `this browser ${failure}: ${error.name}`, false)
  }
  return isProof ? exchange.signed(now, result) : exchange.verified(now, result)
}

const encode = (text) => new TextEncoder().encode(text)

/** How a key of this algorithm is imported, and how it verifies (RFC 7518 section 3, RFC 8037). */
function algorithms(alg) {
  const hash = `SHA-${alg.slice(2)}`
  if (alg.startsWith('RS')) return [{ name: 'RSASSA-PKCS1-v1_5', hash }, 'RSASSA-PKCS1-v1_5']
  if (alg.startsWith('PS')) return [{ name: 'RSA-PSS', hash }, { name: 'RSA-PSS', saltLength: alg.slice(2) / 8 }]
  // JWS names it `Ed25519`, or `EdDSA` after its family.
  if (alg.startsWith('Ed')) return ['Ed25519', 'Ed25519']
  const namedCurve = alg === 'ES512' ? 'P-521' : `P-${alg.slice(2)}`
  return [{ name: 'ECDSA', namedCurve }, { name: 'ECDSA', hash }]
}

/** Whether the signature of a step is valid. Rejects if this browser does not support the algorithm. */
async function verified({ job, signature }) {
  const [name, key, text] = job
  if (name === undefined) throw new DOMException('a page has no shared secret', 'NotSupportedError')
  if (signature === undefined) return (await half(name, key)) === text
  const [kind, verifyParams] = algorithms(name)
  try {
    const imported = await crypto.subtle.importKey('jwk', JSON.parse(key), kind, false, ['verify'])
    return await crypto.subtle.verify(verifyParams, imported, signature, encode(text))
  } catch (error) {
    // WebCrypto cannot use the key, so it cannot have made the signature.
    if (error.name === 'DataError' || error.name === 'OperationError') return false
    throw error
  }
}

/** The left half of a hash in base64url (OpenID Connect Core section 3.1.3.6). */
async function half(name, value) {
  const digest = await crypto.subtle.digest(name, encode(value))
  const leftHalf = new Uint8Array(digest, 0, digest.byteLength / 2)
  return btoa(String.fromCharCode(...leftHalf)).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')
}
