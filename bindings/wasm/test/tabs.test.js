// Several tabs, one session: with Web Locks, and without.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { loaded, signedIn, startWorld } from './suite.js'

const harness = startWorld()

/** As a browser without Web Locks would look to the page. */
const withoutLocks = () =>
  harness.context.addInitScript(() => Object.defineProperty(Navigator.prototype, 'locks', { value: undefined }))

/** A second tab, which gets the session of the first. */
async function joined(config) {
  const page = await harness.page()
  const found = await page.evaluate(
    (config) => web.restore(config).then((session) => ((globalThis.session = session), session !== null)),
    config,
  )
  assert.equal(found, true, 'the other tab shares its session')
  return page
}

const later = (page, seconds) =>
  page.evaluate((seconds) => {
    const now = Date.now
    Date.now = () => now() + seconds * 1000
  }, seconds)

const tokens = (pages) => Promise.all(pages.map((page) => page.evaluate(() => session.token())))

for (const [name, prepare] of [['Web Locks', () => {}], ['messages alone', withoutLocks]]) {
  test(`two tabs with a stale token share one refresh, by ${name}`, async () => {
    await prepare()
    const first = await signedIn(harness, harness.configs.generic)
    const locks = await first.evaluate(() => navigator.locks !== undefined)
    assert.equal(locks, name === 'Web Locks')
    const pages = [first, await joined(harness.configs.generic)]
    const start = await harness.generic.counters()
    for (let round = 1; round <= 3; round++) {
      await Promise.all(pages.map((page) => later(page, 3590)))
      const accessTokens = await tokens(pages)
      assert.equal(accessTokens[0], accessTokens[1])
      const now = await harness.generic.counters()
      assert.equal(now.refreshes - start.refreshes, round)
      assert.equal(now.reuse_events, start.reuse_events)
    }
  })

  test(`four tabs that get a 401 share one refresh, by ${name}`, async () => {
    await prepare()
    const pages = [await signedIn(harness, harness.configs.generic)]
    while (pages.length < 4) pages.push(await joined(harness.configs.generic))
    await harness.generic.expire()
    const start = await harness.generic.counters()
    const url = `${harness.twins.generic}/api/echo`
    const statuses = await Promise.all(
      pages.map((page) =>
        page.evaluate(async (url) => {
          const replies = await Promise.all(Array.from({ length: 5 }, () => session.fetch(url)))
          return replies.map((reply) => reply.status).join()
        }, url),
      ),
    )
    assert.deepEqual([...new Set(statuses)], ['200,200,200,200,200'])
    const end = await harness.generic.counters()
    assert.equal(end.refreshes - start.refreshes, 1)
    assert.equal(end.reuse_events, start.reuse_events)
  })

  test(`a closed tab does not block the others, by ${name}`, async () => {
    await prepare()
    const first = await signedIn(harness, harness.configs.generic)
    const second = await joined(harness.configs.generic)
    await first.close()
    await later(second, 3590)
    const start = Date.now()
    await tokens([second])
    assert.ok(Date.now() - start < 5000)
  })
}

test('signing out in one tab ends the session in all tabs', async () => {
  const first = await signedIn(harness, harness.configs.generic)
  const second = await joined(harness.configs.generic)
  await first.evaluate(() => session.signOut())
  await second.waitForFunction(() => session.signedIn === false)
})

test('claims that one tab has verified are available in the others', async () => {
  const first = await signedIn(harness, harness.configs.generic, { scope: 'openid profile' })
  const second = await joined(harness.configs.generic)
  const claimsAndName = (page) => page.evaluate(async () => [session.claims, (await session.userinfo()).name])
  const [claims, name] = await claimsAndName(first)
  assert.deepEqual(await claimsAndName(second), [claims, name])
  assert.deepEqual([typeof claims.sub, claims.iss, name], ['string', harness.configs.generic.issuer, 'Alice Liddell'])
})

test('a reloaded tab gets the session from another tab, not from storage', async () => {
  const first = await signedIn(harness, harness.configs.generic)
  const second = await joined(harness.configs.generic)
  await second.reload()
  await loaded(second)
  const found = await second.evaluate(
    (config) => web.restore(config).then((session) => session?.signedIn ?? false),
    harness.configs.generic,
  )
  assert.equal(found, true)
  await first.close()
  assert.equal(await second.evaluate(() => sessionStorage.length + localStorage.length), 0)
})

test('tabs share nothing if tabs is false', async () => {
  const config = { ...harness.configs.generic, tabs: false }
  await signedIn(harness, config)
  const other = await harness.page()
  const found = (config) => other.evaluate((config) => web.restore(config).then(Boolean), config)
  assert.equal(await found(config), false)
  assert.equal(await found(harness.configs.generic), false, 'nor with one that would share')
})

test('another client of the same server has a separate session', async () => {
  await signedIn(harness, harness.configs.generic)
  const other = await harness.page()
  const config = { ...harness.configs.generic, clientId: 'somebody-else' }
  assert.equal(await other.evaluate((config) => web.restore(config).then(Boolean), config), false)
})
