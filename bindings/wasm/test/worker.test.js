// Sessions in a worker, as in browser extensions: no window, no document, no storage.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { signedIn, startWorld } from './suite.js'

const harness = startWorld()

/** Starts a worker from this page; returns a function that calls it. */
async function worker(page) {
  await page.evaluate(() => (globalThis.worker = new Worker('/test/worker.js', { type: 'module' })))
  const callWorker = (...call) =>
    page.evaluate(
      (call) =>
        new Promise((done) => {
          const { port1, port2 } = new MessageChannel()
          port1.onmessage = ({ data }) => done(data)
          worker.postMessage(call, [port2])
        }),
      call,
    )
  assert.deepEqual(await callWorker('globals'), { value: [] })
  return callWorker
}

const value = ({ value, ...error }) => {
  assert.deepEqual(error, {})
  return value
}

test('a worker restores, renews and ends a session in the given storage', async () => {
  const config = { ...harness.configs.generic, tabs: false }
  const page = await signedIn(harness, { ...config, storage: 'session' })
  const items = await page.evaluate(() => Object.entries(sessionStorage))
  const callWorker = await worker(page)
  assert.equal(value(await callWorker('restoreKept', config)), false, 'nothing is there')
  assert.equal(value(await callWorker('restoreKept', config, items)), true)
  const first = value(await callWorker('token'))
  assert.equal(value(await callWorker('fetch', `${harness.twins.generic}/api/echo`)), 200)
  const start = await harness.generic.counters()
  await callWorker('later', 3590)
  const second = value(await callWorker('token'))
  assert.notEqual(second, first)
  assert.equal((await harness.generic.counters()).refreshes - start.refreshes, 1)
  const [storedRecord] = value(await callWorker('kept'))
  assert.ok(storedRecord.includes(second), 'what was renewed is kept')
  // After a restart it continues with the stored session.
  assert.equal(value(await callWorker('restoreKept', config)), true)
  assert.equal(value(await callWorker('token')), second)
  await harness.generic.expire()
  assert.equal(value(await callWorker('fetch', `${harness.twins.generic}/api/echo`)), 200)
  value(await callWorker('signOut'))
  assert.deepEqual(value(await callWorker('kept')), [])
  assert.equal((await callWorker('token')).code, 'grant.no_refresh_token')
})

test('a worker without storage shares the session of the tabs', async () => {
  const page = await signedIn(harness, harness.configs.generic)
  const callWorker = await worker(page)
  assert.equal(value(await callWorker('restore', harness.configs.generic)), true)
  const token = await page.evaluate(() => session.token())
  assert.equal(value(await callWorker('token')), token)
})

test('calls that need a page and unsupported storages are reported', async () => {
  const page = await harness.page()
  const callWorker = await worker(page)
  const config = harness.configs.generic
  assert.match((await callWorker('signIn', config)).message, /there is no page here/)
  const none = await callWorker('restore', { ...config, storage: 'session' })
  assert.equal(none.code, 'misuse.setup')
  assert.match(none.message, /no sessionStorage here/)
  assert.equal((await callWorker('restore', { ...config, storage: 'local' })).name, 'TypeError')
})
