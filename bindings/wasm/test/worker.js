// The package in a worker: no window, no document, no storage but what is passed in.

import * as web from '../js/index.js'

const storageItems = new Map()
/** As an extension's storage: it answers with promises. */
const storage = {
  getItem: async (key) => storageItems.get(key),
  setItem: async (key, value) => void storageItems.set(key, value),
  removeItem: async (key) => void storageItems.delete(key),
}
let session

const calls = {
  globals: () => ['window', 'document', 'localStorage', 'sessionStorage'].filter((name) => name in globalThis),
  restore: async (config) => {
    session = await web.restore(config)
    return session !== null
  },
  restoreKept: (config, items = []) => {
    for (const [key, value] of items) storageItems.set(key, value)
    return calls.restore({ ...config, storage })
  },
  token: () => session.token(),
  later: (seconds) => {
    const now = Date.now
    Date.now = () => now() + seconds * 1000
  },
  fetch: async (url) => (await session.fetch(url)).status,
  signOut: () => session.signOut(),
  kept: () => [...storageItems.values()],
  signIn: (config) => web.signIn(config),
}

addEventListener('message', async ({ data: [name, ...args], ports: [port] }) => {
  try {
    port.postMessage({ value: await calls[name](...args) })
  } catch ({ name, code, message }) {
    port.postMessage({ name, code, message })
  }
})
