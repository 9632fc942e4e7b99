// Several tabs, one session: with Web Locks, and without.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { loaded, signedIn, world } from './suite.js'

const us = world()

/** As a browser without Web Locks would look to the page. */
const withoutLocks = () =>
  us.context.addInitScript(() => Object.defineProperty(Navigator.prototype, 'locks', { value: undefined }))

/** A second tab, which gets the session of the first. */
async function joined(config) {
  const page = await us.page()
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
  test(`two tabs with a stale token make one refresh, by ${name}`, async () => {
    await prepare()
    const first = await signedIn(us, us.configs.generic)
    const locks = await first.evaluate(() => navigator.locks !== undefined)
    assert.equal(locks, name === 'Web Locks')
    const pages = [first, await joined(us.configs.generic)]
    const start = await us.generic.counters()
    for (let round = 1; round <= 3; round++) {
      await Promise.all(pages.map((page) => later(page, 3590)))
      const got = await tokens(pages)
      assert.equal(got[0], got[1])
      const now = await us.generic.counters()
      assert.equal(now.refreshes - start.refreshes, round)
      assert.equal(now.reuse_events, start.reuse_events)
    }
  })

  test(`four tabs that meet a 401 together make one refresh, by ${name}`, async () => {
    await prepare()
    const pages = [await signedIn(us, us.configs.generic)]
    while (pages.length < 4) pages.push(await joined(us.configs.generic))
    await us.generic.expire()
    const start = await us.generic.counters()
    const url = `${us.twins.generic}/api/echo`
    const statuses = await Promise.all(
      pages.map((page) =>
        page.evaluate(async (url) => {
          const replies = await Promise.all(Array.from({ length: 5 }, () => session.fetch(url)))
          return replies.map((reply) => reply.status).join()
        }, url),
      ),
    )
    assert.deepEqual([...new Set(statuses)], ['200,200,200,200,200'])
    const end = await us.generic.counters()
    assert.equal(end.refreshes - start.refreshes, 1)
    assert.equal(end.reuse_events, start.reuse_events)
  })

  test(`a tab that vanishes holds nobody up, by ${name}`, async () => {
    await prepare()
    const first = await signedIn(us, us.configs.generic)
    const second = await joined(us.configs.generic)
    await first.close()
    await later(second, 3590)
    const start = Date.now()
    await tokens([second])
    assert.ok(Date.now() - start < 5000)
  })
}

test('signing out in one tab ends the session in all', async () => {
  const first = await signedIn(us, us.configs.generic)
  const second = await joined(us.configs.generic)
  await first.evaluate(() => session.signOut())
  await second.waitForFunction(() => session.signedIn === false)
})

test('what one tab verified of the person is known in others', async () => {
  const first = await signedIn(us, us.configs.generic, { scope: 'openid profile' })
  const second = await joined(us.configs.generic)
  const known = (page) => page.evaluate(async () => [session.claims, (await session.userinfo()).name])
  const [claims, name] = await known(first)
  assert.deepEqual(await known(second), [claims, name])
  assert.deepEqual([typeof claims.sub, claims.iss, name], ['string', us.configs.generic.issuer, 'Alice Liddell'])
})

test('a reloaded tab gets the session back from another, not from storage', async () => {
  const first = await signedIn(us, us.configs.generic)
  const second = await joined(us.configs.generic)
  await second.reload()
  await loaded(second)
  const found = await second.evaluate(
    (config) => web.restore(config).then((session) => session?.signedIn ?? false),
    us.configs.generic,
  )
  assert.equal(found, true)
  await first.close()
  assert.equal(await second.evaluate(() => sessionStorage.length + localStorage.length), 0)
})

test('tabs share nothing where that is not wanted', async () => {
  const config = { ...us.configs.generic, tabs: false }
  await signedIn(us, config)
  const other = await us.page()
  const found = (config) => other.evaluate((config) => web.restore(config).then(Boolean), config)
  assert.equal(await found(config), false)
  assert.equal(await found(us.configs.generic), false, 'nor with one that would share')
})

test('another client of the same server is another session', async () => {
  await signedIn(us, us.configs.generic)
  const other = await us.page()
  const config = { ...us.configs.generic, clientId: 'somebody-else' }
  assert.equal(await other.evaluate((config) => web.restore(config).then(Boolean), config), false)
})
