// The change events of a session, in the tab where the change happens and in the others.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { signedIn, startWorld } from './suite.js'

const harness = startWorld()
const later = (page, seconds) =>
  page.evaluate((seconds) => {
    const now = Date.now
    Date.now = () => now() + seconds * 1000
  }, seconds)

/** Listens as `useSyncExternalStore` does: with functions taken out of the session. */
const listen = (page) =>
  page.evaluate(() => {
    const { subscribe, getSnapshot } = session
    globalThis.heard = []
    globalThis.shown = getSnapshot
    globalThis.first = getSnapshot()
    globalThis.stop = subscribe(({ kind }) => heard.push([kind, getSnapshot().signedIn, getSnapshot() !== first]))
  })

/** A second tab of the same session. */
async function joined(config) {
  const page = await harness.page()
  await page.evaluate(async (config) => void (globalThis.session = await web.restore(config)), config)
  return page
}

test('a renewal and a sign-out are reported in every tab', async () => {
  const first = await signedIn(harness, harness.configs.generic)
  const second = await joined(harness.configs.generic)
  for (const page of [first, second]) await listen(page)
  assert.equal(await first.evaluate(() => shown() === first && shown() === shown()), true, 'unchanged, it is the same object')
  await later(first, 3590)
  await first.evaluate(() => session.token())
  for (const page of [first, second]) {
    await page.waitForFunction(() => heard.length === 1)
    assert.deepEqual(await page.evaluate(() => heard), [['renewed', true, true]])
    assert.equal(await page.evaluate(() => shown() === shown()), true)
    assert.ok(await page.evaluate(() => shown().expiresAt > first.expiresAt))
  }
  await first.evaluate(() => session.signOut())
  for (const page of [first, second]) {
    await page.waitForFunction(() => heard.length === 2)
    assert.deepEqual(await page.evaluate(() => heard[1]), ['ended', false, true])
    assert.deepEqual(await page.evaluate(() => shown()), { signedIn: false })
  }
})

test('removed listeners are not called, and a throwing listener does not stop others', async () => {
  const page = await signedIn(harness, harness.configs.generic)
  // The error is passed to reportError of the page.
  await page.evaluate(() => (globalThis.reportError = (error) => (globalThis.reported = error.message)))
  await page.evaluate(() => void session.subscribe(() => { throw new Error('mine') }))
  await listen(page)
  await page.evaluate(() => stop())
  const count = await page.evaluate(async () => {
    let count = 0
    const listener = () => count++
    const stops = [session.subscribe(listener), session.subscribe(listener)]
    stops[0]()
    await session.signOut()
    return count
  })
  assert.equal(count, 1)
  assert.equal(await page.evaluate(() => reported), 'mine')
  assert.deepEqual(await page.evaluate(() => heard), [])
})

test('a rejected refresh is reported as the end of the session', async () => {
  const page = await signedIn(harness, harness.configs.generic)
  await listen(page)
  await later(page, 31 * 86_400)
  await harness.generic.advance(31 * 86_400)
  await page.evaluate(() => told(session.token()))
  assert.deepEqual(await page.evaluate(() => heard), [['ended', false, true]])
})

test('a waiting tab gets the session of the next sign-in in any tab', async () => {
  const page = await harness.page()
  await page.evaluate((config) => {
    globalThis.result = told(
      web.restore(config, { wait: true }).then((session) => ((globalThis.session = session), session.signedIn)),
    )
  }, harness.configs.generic)
  const other = await signedIn(harness, harness.configs.generic)
  assert.deepEqual(await page.evaluate(() => result), { value: true })
  await listen(page)
  await other.evaluate(() => session.signOut())
  await page.waitForFunction(() => heard[0]?.[0] === 'ended')
})

test('an abort signal ends the wait for a session', async () => {
  const page = await harness.page()
  const result = await page.evaluate(async (config) => {
    const stop = new AbortController()
    const waiting = told(web.restore(config, { wait: true, signal: stop.signal }))
    setTimeout(() => stop.abort(), 500)
    return waiting
  }, harness.configs.generic)
  assert.equal(result.name, 'AbortError')
})
