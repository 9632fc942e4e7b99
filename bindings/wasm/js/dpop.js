// The key that a page's tokens are bound to (RFC 9449): WebCrypto's, which gives it to nobody, kept in IndexedDB.

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256' }
const SIGNATURE = { name: 'ECDSA', hash: 'SHA-256' }
const STORE = 'keys'

/** The public half as a JWK, and what signs. `given` is a pair of the page's own, or `true` for one that is kept. */
export async function dpopOf(given, name) {
  const { privateKey, publicKey } = given === true ? await kept(name) : given
  const { kty, crv, x, y } = await crypto.subtle.exportKey('jwk', publicKey)
  const sign = async (input) => new Uint8Array(await crypto.subtle.sign(SIGNATURE, privateKey, input))
  return { jwk: JSON.stringify({ kty, crv, x, y }), sign }
}

/** The pair of this name; the first tab that asks for it makes it. */
async function kept(name) {
  const database = await opened()
  try {
    const known = await asked(database, 'readonly', (store) => store.get(name))
    if (known) return known
    const made = await crypto.subtle.generateKey(ALGORITHM, false, ['sign'])
    try {
      await asked(database, 'readwrite', (store) => store.add(made, name))
      return made
    } catch (error) {
      // Another tab was first, and its key is everybody's; or there is no room.
      const theirs = await asked(database, 'readonly', (store) => store.get(name))
      if (theirs) return theirs
      throw error
    }
  } finally {
    database.close()
  }
}

function opened() {
  const request = indexedDB.open('oauth-core', 1)
  request.onupgradeneeded = () => request.result.createObjectStore(STORE)
  return answered(request)
}

const asked = (database, mode, ask) => answered(ask(database.transaction(STORE, mode).objectStore(STORE)))

const answered = (request) =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request.error)
  })
