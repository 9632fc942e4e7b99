// The lifecycle of a session: renewal, a 401, revocation, sign-out.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { handle, signedIn, startWorld } from './suite.js'

const harness = startWorld()
const echo = (page) =>
  page.evaluate(async (url) => (await session.fetch(url)).status, `${harness.twins.generic}/api/echo`)

/** Lets this page's clock run ahead. */
const later = (page, seconds) =>
  page.evaluate((seconds) => {
    const now = Date.now
    Date.now = () => now() + seconds * 1000
  }, seconds)

test('a stale token is renewed, and the refresh token rotates', async () => {
  const page = await signedIn(harness, harness.configs.generic)
  const start = await harness.generic.counters()
  const tokens = []
  for (let round = 0; round < 3; round++) {
    tokens.push(await page.evaluate(() => session.token()))
    await later(page, 3590)
  }
  assert.equal(new Set(tokens).size, 3)
  const end = await harness.generic.counters()
  assert.equal(end.refreshes - start.refreshes, 2)
  assert.equal(end.reuse_events, start.reuse_events)
})

test('a hundred concurrent calls share one refresh', async () => {
  const page = await signedIn(harness, harness.configs.generic)
  await later(page, 3590)
  const start = await harness.generic.counters()
  const distinct = await page.evaluate(async () => {
    const tokens = await Promise.all(Array.from({ length: 100 }, () => session.token()))
    return new Set(tokens).size
  })
  const end = await harness.generic.counters()
  assert.equal(distinct, 1)
  assert.equal(end.refreshes - start.refreshes, 1)
})

test('an aborted or timed-out caller does not stop the renewal', async () => {
  const page = await signedIn(harness, harness.configs.generic)
  const first = await page.evaluate(() => session.token())
  await later(page, 3590)
  await harness.generic.fault({ name: 'slow_body', millis_per_byte: 1 })
  const start = await harness.generic.counters()
  const outcomes = await page.evaluate(async () => {
    const late = await told(session.token({ timeoutMs: 1 }))
    const leave = new AbortController()
    const leaving = session.token({ signal: leave.signal }).catch((reason) => reason.message)
    leave.abort(new Error('enough'))
    const abortReason = await session.token({ signal: AbortSignal.abort(new Error('before')) }).catch((reason) => reason.message)
    const wrong = await session.token({ timeoutMs: 0 }).catch((error) => error.name)
    return { code: late.code, name: late.name, reasons: [await leaving, abortReason, wrong] }
  })
  assert.deepEqual(outcomes, { code: 'lost.timeout', name: 'LostError', reasons: ['enough', 'before', 'TypeError'] })
  const renewed = await page.evaluate(() => session.token({ timeoutMs: 20_000 }))
  assert.notEqual(renewed, first)
  const end = await harness.generic.counters()
  assert.equal(end.refreshes - start.refreshes, 1)
})

test('a 401 is retried once with a new token and the same body', async () => {
  const page = await signedIn(harness, harness.configs.generic, { scope: 'read write' })
  await harness.generic.expire()
  const start = await harness.generic.counters()
  const reply = await page.evaluate(async (url) => {
    const reply = await session.fetch(url, { method: 'POST', body: 'once more' })
    return { status: reply.status, body: (await reply.json()).body }
  }, `${harness.twins.generic}/api/echo`)
  assert.deepEqual(reply, { status: 200, body: 'once more' })
  const end = await harness.generic.counters()
  assert.equal(end.refreshes - start.refreshes, 1)
  assert.equal(end.api_401 - start.api_401, 1)
})

test('fifty calls that get a 401 share one refresh', async () => {
  const page = await signedIn(harness, harness.configs.generic)
  await harness.generic.expire()
  const start = await harness.generic.counters()
  const statuses = await page.evaluate(async (url) => {
    const replies = await Promise.all(Array.from({ length: 50 }, () => session.fetch(url)))
    return [...new Set(replies.map((reply) => reply.status))]
  }, `${harness.twins.generic}/api/echo`)
  assert.deepEqual(statuses, [200])
  const end = await harness.generic.counters()
  assert.equal(end.refreshes - start.refreshes, 1)
})

test('insufficient scope does not cause a refresh', async () => {
  const page = await signedIn(harness, harness.configs.generic, { scope: 'read' })
  const start = await harness.generic.counters()
  const status = await page.evaluate(
    async (url) => (await session.fetch(url, { method: 'POST' })).status,
    `${harness.twins.generic}/api/echo`,
  )
  assert.equal(status, 403)
  assert.equal((await harness.generic.counters()).refreshes, start.refreshes)
})

test('a 401 without a refresh token reports that the user must sign in again', async () => {
  const page = await signedIn(harness, harness.configs.uservoice)
  await harness.uservoice.expire()
  const start = await harness.uservoice.counters()
  const url = `${harness.twins.uservoice}/api/v2/end_users/me`
  const result = await page.evaluate((url) => told(session.fetch(url)), url)
  assert.equal(result.code, 'grant.no_refresh_token')
  assert.equal(result.advice, 'reauthorize')
  const end = await harness.uservoice.counters()
  assert.equal(end.api_calls - start.api_calls, 1)
  assert.equal(end.token_requests, start.token_requests)
})

test('revocation ends the tokens at the server and in the page', async () => {
  const page = await signedIn(harness, harness.configs.generic)
  const token = await page.evaluate(() => session.token())
  const start = await harness.generic.counters()
  await page.evaluate(() => session.revoke())
  assert.equal((await harness.generic.counters()).revocations - start.revocations, 1)
  const headers = { authorization: `Bearer ${token}` }
  assert.equal((await fetch(`${harness.twins.generic}/api/echo`, { headers })).status, 401)
  const after = await page.evaluate(() => told(session.token()))
  assert.equal(after.code, 'grant.no_refresh_token')
  assert.equal(after.advice, 'reauthorize')
})

test('a failed revocation still ends the session in the page', async () => {
  const page = await signedIn(harness, harness.configs.generic)
  await page.route('**/revoke', (route) => route.abort())
  const result = await page.evaluate(() => told(session.revoke()))
  assert.equal(result.name, 'LostError')
  assert.equal(await page.evaluate(() => session.signedIn), false)
})

test('sign-out works without a revocation endpoint', async () => {
  const page = await signedIn(harness, harness.configs.uservoice)
  await page.evaluate(() => session.signOut())
  assert.equal(await page.evaluate(() => session.signedIn), false)
})

test('a rejected refresh reports that the user must sign in again', async () => {
  const page = await signedIn(harness, harness.configs.generic)
  await later(page, 31 * 86_400)
  await harness.generic.advance(31 * 86_400)
  const result = await page.evaluate(() => told(session.token()))
  assert.equal(result.code, 'denied.invalid_grant')
  assert.equal(result.advice, 'reauthorize')
  const countersBefore = await harness.generic.counters()
  const again = await page.evaluate(() => told(session.token()))
  assert.equal(again.code, 'grant.no_refresh_token', 'the dead token is not sent a second time')
  assert.deepEqual(await harness.generic.counters(), countersBefore)
})

test('a busy token endpoint does not end the session', async () => {
  const page = await signedIn(harness, harness.configs.generic)
  await later(page, 3590)
  const before = await page.evaluate(() => session.token())
  await later(page, 3605)
  await harness.generic.fault({ name: 'status', status: 503, retry_after: 2 })
  const result = await page.evaluate(() => told(session.token()))
  assert.equal(result.advice, 'retry')
  await later(page, 5)
  const after = await page.evaluate(() => session.token())
  assert.match(after, /^.{43}$/)
  assert.notEqual(after, before)
})

test('a token whose renewal fails is used until it expires', async () => {
  const page = await signedIn(harness, harness.configs.generic)
  const before = await page.evaluate(() => session.token())
  await later(page, 3590)
  await harness.generic.fault({ name: 'status', status: 503, retry_after: 60 })
  assert.equal(await page.evaluate(() => session.token()), before)
})

test('no printed form of a session contains a token', async () => {
  const page = await signedIn(harness, harness.configs.generic)
  const shown = await page.evaluate(async () => {
    const token = await session.token()
    const texts = [JSON.stringify(session), String(session), Object.keys(session).join(), JSON.stringify(Object.getOwnPropertyDescriptors(session))]
    return texts.filter((text) => text.includes(token)).length
  })
  assert.equal(shown, 0)
  assert.equal(await echo(page), 200)
})

/** Delays the response to a token request until `letGo` is called. */
async function held(page) {
  const [gate, responseSent] = [resolvers(), resolvers()]
  await page.route('**/token', async (route) => {
    const response = await route.fetch()
    responseSent.resolve(await response.json())
    await gate.promise
    await route.fulfill({ response })
  })
  return { letGo: gate.resolve, given: responseSent.promise }
}

function resolvers() {
  const made = {}
  made.promise = new Promise((resolve) => (made.resolve = resolve))
  return made
}

for (const where of ['here', 'in another tab']) {
  test(`tokens received after a sign-out ${where} are revoked`, async () => {
    const config = { ...harness.configs.generic, storage: 'session' }
    const page = await signedIn(harness, config)
    await later(page, 3590)
    const { letGo, given: responseSent } = await held(page)
    await page.evaluate(() => void (globalThis.asking = told(session.token())))
    const { refresh_token: brought } = await responseSent
    const other = where === 'here' ? page : await harness.page()
    if (other !== page) assert.deepEqual(await handle(other, config), { value: true })
    await other.evaluate(() => session.signOut())
    await page.waitForFunction(() => !session.signedIn)
    const revocation = page.waitForRequest('**/revoke')
    letGo()
    const form = new URLSearchParams((await revocation).postData())
    assert.equal(form.get('token'), brought)
    assert.equal((await page.evaluate(() => asking)).advice, 'reauthorize')
    assert.equal(await page.evaluate(() => session.signedIn), false)
    assert.equal(await page.evaluate(() => sessionStorage.length), 0)
    assert.deepEqual(await handle(page, config), { value: false }, 'nothing is restored')
  })
}

test('a one-year token is renewed when due, and timers stay below their maximum', async () => {
  const page = await harness.page()
  await page.evaluate(() => {
    globalThis.longest = 0
    for (const name of ['setTimeout', 'setInterval']) {
      const set = globalThis[name]
      globalThis[name] = (task, millis, ...rest) => {
        globalThis.longest = Math.max(longest, millis ?? 0)
        return set(task, millis, ...rest)
      }
    }
  })
  await page.route('**/token', async (route) => {
    const response = await route.fetch()
    await route.fulfill({ response, json: { ...(await response.json()), expires_in: 31536000 } })
  })
  const opened = harness.context.waitForEvent('page')
  await page.evaluate((config) => {
    globalThis.result = told(web.signIn(config, { mode: 'popup' }).then((made) => void (globalThis.session = made)))
  }, harness.configs.generic)
  const popup = await opened
  await popup.waitForURL((url) => url.pathname === '/callback')
  await popup.waitForFunction(() => globalThis.loaded === true)
  await handle(popup, harness.configs.generic).catch(() => {})
  await page.evaluate(() => result)
  const start = await harness.generic.counters()
  const first = await page.evaluate(() => session.token())
  // As many milliseconds as a timer takes, and nearly a year.
  for (const seconds of [2 ** 31 / 1000, 28_000_000]) {
    await later(page, seconds)
    assert.equal(await page.evaluate(() => session.token()), first)
  }
  assert.equal((await harness.generic.counters()).refreshes, start.refreshes)
  assert.ok((await page.evaluate(() => longest)) < 2 ** 31)
  await later(page, 31536000 - 28_000_000 - 2 ** 31 / 1000)
  assert.notEqual(await page.evaluate(() => session.token()), first)
})

test('a Retry-After of a month is capped at a day', async () => {
  const page = await signedIn(harness, harness.configs.generic)
  let calls = 0
  await page.route('**/api/echo', async (route) => {
    calls += 1
    const headers = { 'access-control-allow-origin': harness.origin, 'access-control-expose-headers': 'retry-after' }
    await route.fulfill({ status: 429, headers: { ...headers, 'retry-after': '2592000' } })
  })
  const waited = await page.evaluate(async (url) => {
    globalThis.stop = new AbortController()
    const { promise, resolve } = Promise.withResolvers()
    const set = globalThis.setTimeout
    globalThis.setTimeout = (task, millis) => (resolve(millis), set(task, millis))
    globalThis.calling = told(session.fetch(url, { onRateLimit: 'wait', longestWaitMs: 1e10, signal: stop.signal }))
    return Promise.race([promise, calling])
  }, `${harness.twins.generic}/api/echo`)
  // A day, which is the longest that a server may ask for.
  assert.equal(waited, 86_400_000)
  await page.evaluate(() => stop.abort())
  assert.equal((await page.evaluate(() => calling)).name, 'AbortError')
  assert.equal(calls, 1)
})
