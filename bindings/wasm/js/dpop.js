// The DPoP key of a page (RFC 9449): a WebCrypto key that cannot be exported, kept in IndexedDB.

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256' }
const SIGNATURE = { name: 'ECDSA', hash: 'SHA-256' }
const STORE = 'keys'

/** The public key as a JWK, and the signer. `given` is a key pair of the page, or `true` for one that is kept here. */
export async function dpopOf(given, name) {
  const { privateKey, publicKey } = given === true ? await kept(name) : given
  const { kty, crv, x, y } = await crypto.subtle.exportKey('jwk', publicKey)
  const sign = async (input) => new Uint8Array(await crypto.subtle.sign(SIGNATURE, privateKey, input))
  return { jwk: JSON.stringify({ kty, crv, x, y }), sign }
}

/** The key pair of this name; the first tab creates it. */
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
      // Another tab was first, and all tabs use its key; or the storage is full.
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
