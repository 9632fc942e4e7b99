// Calling an API from a page: with a token that the user pasted, and with rate limits that are reported or waited for.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { signedIn, startWorld } from './suite.js'

const harness = startWorld()
const suggestions = () => `${harness.twins.uservoice}/api/v2/admin/suggestions`

/** What `work` adds to a twin's counters. */
async function counted(twin, work) {
  const before = await twin.counters()
  await work()
  const now = await twin.counters()
  const added = (name) => now[name] - before[name]
  return { calls: added('api_calls'), refused: added('api_401') + added('api_429'), tokens: added('token_requests') }
}

/** A page that holds a token of UserVoice's console, as `fixed`. */
async function pasted(options = {}) {
  const page = await harness.page()
  const token = await harness.uservoice.consoleToken()
  await page.evaluate(
    ([token, options]) => {
      const expiresAt = options.expiresAt === undefined ? undefined : new Date(options.expiresAt)
      globalThis.fixed = web.fixedToken(token, { ...options, expiresAt, loopback: true })
    },
    [token, { origins: [harness.twins.uservoice], ...options }],
  )
  return { page, token }
}

const fetched = (page, url, init) =>
  page.evaluate(([url, init]) => told(fixed.fetch(url, init).then((reply) => reply.status)), [url, init])

test('a pasted token calls the API without token requests', async () => {
  const { page, token } = await pasted()
  const seen = await counted(harness.uservoice, async () => {
    assert.equal((await fetched(page, suggestions())).value, 200)
    assert.equal((await fetched(page, suggestions())).value, 200)
  })
  assert.deepEqual(seen, { calls: 2, refused: 0, tokens: 0 })
  assert.equal(await page.evaluate(() => fixed.token()), token)
  const shown = await page.evaluate(() => JSON.stringify(fixed) + Object.keys(fixed) + String(fixed) + sessionStorage.length)
  assert.ok(!shown.includes(token) && shown.endsWith('0'), shown)
})

test('an origin with a path is rejected', async () => {
  const { page } = await pasted({ origins: [`${harness.twins.uservoice}/api/v2`] })
  const seen = await counted(harness.uservoice, async () => {
    assert.equal((await fetched(page, suggestions())).code, 'resource.origin_syntax')
  })
  assert.equal(seen.calls, 0)
})

test('a revoked token is reported, and neither renewed nor sent again', async () => {
  const { page, token } = await pasted()
  await harness.uservoice.expire()
  const seen = await counted(harness.uservoice, async () => {
    const result = await fetched(page, suggestions())
    assert.deepEqual([result.name, result.code, result.advice], ['DeniedError', 'grant.revoked', 'reauthorize'])
    assert.ok(!JSON.stringify(result).includes(token))
  })
  assert.deepEqual(seen, { calls: 1, refused: 1, tokens: 0 })
})

test('a pasted token is sent to its origins only, and not after it expires', async () => {
  const { page } = await pasted({ expiresAt: 1000 })
  const seen = await counted(harness.uservoice, async () => {
    const result = await fetched(page, suggestions())
    assert.deepEqual([result.code, result.advice], ['grant.expired', 'reauthorize'])
    assert.equal((await fetched(page, `${harness.twins.generic}/api/echo`)).code, 'resource.origin_not_allowed')
  })
  assert.deepEqual(seen, { calls: 0, refused: 0, tokens: 0 })
  const wrong = [[undefined, {}], ['text', { expiresAt: 'tomorrow' }]]
  for (const args of wrong) {
    const isRefused = await page.evaluate(([token, options]) => {
      try {
        web.fixedToken(token, options)
      } catch (error) {
        return error instanceof TypeError
      }
    }, args)
    assert.equal(isRefused, true)
  }
})

test('a redirect is rejected, or returned unchanged on request', async () => {
  const { page } = await pasted()
  const elsewhere = { status: 302, headers: { location: '/elsewhere', 'access-control-allow-origin': '*' } }
  await page.route(suggestions(), (route) => route.fulfill(elsewhere))
  for (const init of [undefined, { redirect: 'error' }]) {
    const result = await fetched(page, suggestions(), init)
    assert.equal(result.code, 'reply.redirect', JSON.stringify(result))
  }
  const kind = await page.evaluate((url) => fixed.fetch(url, { redirect: 'manual' }).then((reply) => reply.type), suggestions())
  assert.equal(kind, 'opaqueredirect')
})

test('a rate limit is reported with its retry delay, and nothing is sent until it has passed', async () => {
  const page = await signedIn(harness, harness.configs.generic)
  await harness.generic.rateLimit(2, 60)
  const url = `${harness.twins.generic}/api/echo`
  const call = (init) => page.evaluate(([url, init]) => told(session.fetch(url, init).then(({ status }) => status)), [url, init])
  const seen = await counted(harness.generic, async () => {
    for (const status of [200, 200]) assert.equal((await call()).value, status)
    for (const init of [undefined, {}, { onRateLimit: 'wait', longestWaitMs: 1000 }]) {
      const result = await call(init)
      assert.deepEqual([result.name, result.code, result.advice], ['DeniedError', 'resource.rate_limited', 'retry'])
      assert.ok(result.retryAfter > 0 && result.retryAfter <= 61, `${result.retryAfter} s`)
    }
  })
  assert.deepEqual(seen, { calls: 3, refused: 1, tokens: 0 })
  assert.equal((await call({ onRateLimit: 'pass' })).value, 429)
  for (const init of [{ onRateLimit: 'retry' }, { longestWaitMs: 0 }]) assert.equal((await call(init)).name, 'TypeError')
})

test('a rate-limited request waits and reports the wait if configured', async () => {
  const { page } = await pasted()
  await harness.uservoice.rateLimit(5, 2)
  const { statuses, order, waits } = await page.evaluate(
    async ([token, origin, url]) => {
      const [waits, order] = [[], []]
      const options = { origins: [origin], loopback: true, onRateLimit: 'wait', onWait: (ms) => waits.push(ms) }
      const api = web.fixedToken(token, options)
      const replies = Array.from({ length: 12 }, (_, at) => api.fetch(url).then(({ status }) => (order.push(at), status)))
      return { statuses: await Promise.all(replies), order, waits }
    },
    [await harness.uservoice.consoleToken(), harness.twins.uservoice, suggestions()],
  )
  await harness.uservoice.rateLimit(1000, 1)
  assert.deepEqual([...new Set(statuses)], [200])
  assert.equal(order.length, 12)
  assert.ok(waits.length >= 7 && waits.every((ms) => ms > 0))
})

test('an abort signal ends the wait for a rate limit', async () => {
  const { page } = await pasted()
  await harness.uservoice.rateLimit(1, 60)
  const why = await page.evaluate(async (url) => {
    await fixed.fetch(url)
    const leave = new AbortController()
    const late = told(fixed.fetch(url, { onRateLimit: 'wait', signal: leave.signal }))
    setTimeout(() => leave.abort(new Error('enough')), 50)
    return (await late).message
  }, suggestions())
  await harness.uservoice.rateLimit(1000, 1)
  assert.equal(why, 'enough')
})
