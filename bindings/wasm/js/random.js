// Random values and hashes, from WebCrypto and nowhere else.

/** Generates the state, nonce, code verifier and code challenge of one flow. */
export async function generateFlowValues() {
  const [state, nonce, verifier] = [random(), random(), random()]
  return { state, nonce, verifier, challenge: await hashed(verifier) }
}

/** The S256 challenge of a verifier. */
export async function hashed(verifier) {
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(verifier))
  return base64url(new Uint8Array(digest))
}

/** 32 random bytes, as 43 characters. */
export const random = () => base64url(crypto.getRandomValues(new Uint8Array(32)))

const base64url = (bytes) =>
  btoa(String.fromCharCode(...bytes))
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replaceAll('=', '')
