// The DPoP key of a page (RFC 9449): a WebCrypto key that cannot be exported, kept in IndexedDB.

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256' }
const SIGNATURE = { name: 'ECDSA', hash: 'SHA-256' }
const STORE = 'keys'

/** The public key as a JWK, and the signer. `setting` is a key pair of the page, or `true` for one in IndexedDB. */
export async function loadDpop(setting, name) {
  const { privateKey, publicKey } = setting === true ? await storedPair(name) : setting
  const { kty, crv, x, y } = await crypto.subtle.exportKey('jwk', publicKey)
  const sign = async (input) => new Uint8Array(await crypto.subtle.sign(SIGNATURE, privateKey, input))
  return { jwk: JSON.stringify({ kty, crv, x, y }), sign }
}

/** The key pair of this name; the first tab creates it. */
async function storedPair(name) {
  const database = await openDatabase()
  try {
    const existing = await inStore(database, 'readonly', (store) => store.get(name))
    if (existing) return existing
    const created = await crypto.subtle.generateKey(ALGORITHM, false, ['sign'])
    try {
      await inStore(database, 'readwrite', (store) => store.add(created, name))
      return created
    } catch (error) {
      // Another tab was first, and all tabs use its key; or the storage is full.
      const otherTabsPair = await inStore(database, 'readonly', (store) => store.get(name))
      if (otherTabsPair) return otherTabsPair
      throw error
    }
  } finally {
    database.close()
  }
}

function openDatabase() {
  const request = indexedDB.open('oauth-core', 1)
  request.onupgradeneeded = () => request.result.createObjectStore(STORE)
  return promisify(request)
}

const inStore = (database, mode, operation) => promisify(operation(database.transaction(STORE, mode).objectStore(STORE)))

const promisify = (request) =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request.error)
  })
