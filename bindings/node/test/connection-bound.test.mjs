// APIs that accept only tokens bound to a DPoP key (RFC 9449).
import assert from 'node:assert/strict'
import { beforeEach, test } from 'node:test'
import { core, rejection, twins } from './helper.mjs'

const { DpopKey, MemoryStore, ResourceConnection, SealedStore } = core

const { generic: twin } = await twins()
await twin.requireDpop()
const url = `${twin.base}/api/echo`
let pages
let before
beforeEach(async () => {
  pages = 0
  before = (await twin.counters()).refreshes
})

/** The connection of a user who approves every page that is opened. */
function connection(options) {
  const open = (page) => {
    pages += 1
    fetch(page).catch(() => {})
  }
  return new ResourceConnection(url, { clientName: 'Notes', open, timeoutMs: 30_000, transport: 'loopback_http', ...options })
}

const called = async (api) => (await api.fetch(url, { method: 'POST', body: 'hello' })).status
const refreshes = async () => (await twin.counters()).refreshes - before

test('tokens are bound to a DPoP key if the API requires it', async () => {
  const api = connection()
  assert.equal(await called(api), 200)
  assert.equal((await api.token()).tokenType, 'DPoP')
  // Earlier nonces are no longer valid, for the API and the server.
  await twin.expire()
  await twin.rotateNonces()
  assert.equal(await called(api), 200)
  await twin.expire()
  await twin.rotateNonces()
  const tokens = await api.token()
  const renewed = await Promise.all(Array.from({ length: 50 }, () => api.renew(tokens)))
  assert.equal(new Set(renewed.map(({ accessToken }) => accessToken)).size, 1)
  assert.deepEqual([await refreshes(), pages], [2, 1])
})

test('the key is stored next to the connection, and sealed if the connection is', async () => {
  const memory = new MemoryStore()
  const store = new SealedStore(memory, Buffer.alloc(32, 7))
  assert.equal(await called(connection({ store })), 200)
  // Another process has the grant and its DPoP key.
  await twin.expire()
  const second = connection({ store })
  assert.equal(await called(second), 200)
  assert.deepEqual([await refreshes(), pages], [1, 1])
  const { keys } = await memory.scan()
  const listStoredKeys = async () => keys.filter((key) => key.startsWith('dpop-key:'))
  const [key] = await listStoredKeys()
  const { record } = await memory.load(key)
  assert.ok(!record.includes('PRIVATE KEY'))
  assert.ok((await store.load(key)).record.includes('PRIVATE KEY'))
  await second.forget()
  assert.ok(!(await memory.load(key))?.record)
})

test('a key passed by the caller is used, and not stored', async () => {
  const store = new MemoryStore()
  assert.equal(await called(connection({ store, dpopKey: await DpopKey.generate() })), 200)
  const { keys } = await store.scan()
  assert.ok(keys.length > 0 && !keys.some((key) => key.startsWith('dpop-key:')))
  // The API takes no proofs of such a key.
  const other = connection({ store, dpopKey: await DpopKey.generate({ alg: 'ES384' }) })
  assert.equal((await rejection(other.token())).code, 'key.algorithm')
  assert.throws(() => connection({ dpopKey: {} }), /dpopKey must be a DpopKey/)
  assert.equal(pages, 1)
})
