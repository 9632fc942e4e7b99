// The token part in a worker, as extensions have it: no window, no document, no storage of its own.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { signedIn, world } from './suite.js'

const us = world()

/** A worker beside this page; what gives the answer of a call in it. */
async function worker(page) {
  await page.evaluate(() => (globalThis.worker = new Worker('/test/worker.js', { type: 'module' })))
  const ask = (...call) =>
    page.evaluate(
      (call) =>
        new Promise((done) => {
          const { port1, port2 } = new MessageChannel()
          port1.onmessage = ({ data }) => done(data)
          worker.postMessage(call, [port2])
        }),
      call,
    )
  assert.deepEqual(await ask('globals'), { value: [] })
  return ask
}

const value = ({ value, ...error }) => {
  assert.deepEqual(error, {})
  return value
}

test('a worker restores a session from the storage it is given, renews it and ends it', async () => {
  const config = { ...us.configs.generic, tabs: false }
  const page = await signedIn(us, { ...config, storage: 'session' })
  const items = await page.evaluate(() => Object.entries(sessionStorage))
  const ask = await worker(page)
  assert.equal(value(await ask('restoreKept', config)), false, 'nothing is there')
  assert.equal(value(await ask('restoreKept', config, items)), true)
  const first = value(await ask('token'))
  assert.equal(value(await ask('fetch', `${us.twins.generic}/api/echo`)), 200)
  const start = await us.generic.counters()
  await ask('later', 3590)
  const second = value(await ask('token'))
  assert.notEqual(second, first)
  assert.equal((await us.generic.counters()).refreshes - start.refreshes, 1)
  const [kept] = value(await ask('kept'))
  assert.ok(kept.includes(second), 'what was renewed is kept')
  // Started again, it goes on from there.
  assert.equal(value(await ask('restoreKept', config)), true)
  assert.equal(value(await ask('token')), second)
  await us.generic.expire()
  assert.equal(value(await ask('fetch', `${us.twins.generic}/api/echo`)), 200)
  value(await ask('signOut'))
  assert.deepEqual(value(await ask('kept')), [])
  assert.equal((await ask('token')).code, 'grant.no_refresh_token')
})

test('a worker without storage has the session of the tabs', async () => {
  const page = await signedIn(us, us.configs.generic)
  const ask = await worker(page)
  assert.equal(value(await ask('restore', us.configs.generic)), true)
  const token = await page.evaluate(() => session.token())
  assert.equal(value(await ask('token')), token)
})

test('what needs a page says so, and so does a storage that is none', async () => {
  const page = await us.page()
  const ask = await worker(page)
  const config = us.configs.generic
  assert.match((await ask('signIn', config)).message, /there is no page here/)
  const none = await ask('restore', { ...config, storage: 'session' })
  assert.equal(none.code, 'misuse.setup')
  assert.match(none.message, /no sessionStorage here/)
  assert.equal((await ask('restore', { ...config, storage: 'local' })).name, 'TypeError')
})
