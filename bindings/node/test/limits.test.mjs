// Rate limits of APIs: respected, waited for, or reported. Windows are short, since real time is used.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { core, listen, rejection, twins } from './helper.mjs'

const { Client, DeniedError, fixedToken, provider } = core
const { usertesting: twin, generic } = await twins()
const { clientId, clientSecret } = await twin.client()
const server = provider('usertesting', { loopback: twin.base })
const client = new Client(server, { clientId, clientSecret })
const results = (id) => `${twin.base}/api/v2/sessionResults/?testId=${id}`

/** A source whose token is new, and so is its window at the twin; `requests` in `seconds` are allowed. */
async function limitedSource(requests, seconds) {
  await twin.rateLimit(requests, seconds)
  const source = client.clientCredentials({ scope: 'studies:read' })
  await source.token()
  return source
}

/** The numbers of API calls and refusals that `work` causes at the twin. */
async function countCalls(work) {
  const before = await twin.counters()
  await work()
  const now = await twin.counters()
  return { calls: now.api_calls - before.api_calls, refused: now.api_429 - before.api_429 }
}

const statuses = async (replies) => [...new Set((await Promise.all(replies)).map(({ status }) => status))]
const times = (count, call) => Array.from({ length: count }, (_, at) => call(at))

test('a rate limit is reported with its retry delay, and nothing is sent until it has passed', async () => {
  const source = await limitedSource(2, 60)
  const isRateLimitError = (error) => {
    assert.ok(error instanceof DeniedError)
    assert.deepEqual([error.code, error.advice], ['resource.rate_limited', 'retry'])
    assert.ok(error.retryAfter > 0 && error.retryAfter <= 61, `${error.retryAfter} s`)
    return true
  }
  const seen = await countCalls(async () => {
    for (const id of [1, 2]) assert.equal((await source.fetch(results(id))).status, 200)
    await assert.rejects(source.fetch(results(3)), isRateLimitError)
    await assert.rejects(source.fetch(results(4)), isRateLimitError)
    // A wait that is too long is not begun.
    await assert.rejects(source.fetch(results(5), { onRateLimit: 'wait', longestWaitMs: 1000 }), isRateLimitError)
  })
  assert.deepEqual(seen, { calls: 3, refused: 1 })
})

test('a rate-limited request waits and reports the wait if configured', async () => {
  // No window of two seconds ends within the first of them.
  const source = await limitedSource(2, 2)
  const waits = []
  const api = source.api({ onRateLimit: 'wait', onWait: (ms) => waits.push(ms) })
  const seen = await countCalls(async () => {
    assert.deepEqual(await statuses(times(4, (id) => api.fetch(results(id)))), [200])
  })
  assert.ok(seen.refused <= 2, `${seen.refused} refused`)
  assert.ok(waits.length >= 2 && waits.every((ms) => ms > 0))
})

test('a rate limit reply is returned if configured, for one request or for all', async () => {
  const source = await limitedSource(1, 60)
  const api = source.api({ onRateLimit: 'pass' })
  await api.fetch(results(1))
  const refused = await api.fetch(results(2))
  assert.equal(refused.status, 429)
  assert.ok(refused.headers.get('x-ratelimit-reset'))
  assert.equal((await source.fetch(results(3), { onRateLimit: 'pass' })).status, 429)
  // Nobody was held back by it.
  assert.equal((await rejection(api.fetch(results(4), { onRateLimit: 'error' }))).status, 429)
})

test('fifty callers stay within an allowance, and are served in order', async () => {
  const source = await limitedSource(10, 1)
  const sent = []
  const countingFetch = (url, init) => {
    sent.push(Number(new URL(url).searchParams.get('testId')))
    return fetch(url, init)
  }
  const api = source.api({ onRateLimit: 'wait', allowance: { requests: 10, seconds: 1 }, fetch: countingFetch })
  const seen = await countCalls(async () => {
    assert.deepEqual(await statuses(times(50, (id) => api.fetch(results(id)))), [200])
  })
  assert.deepEqual(seen, { calls: 50, refused: 0 })
  assert.deepEqual(sent, times(50, (id) => id))
})

test('fifty callers without an allowance are all served after waiting', async () => {
  const source = await limitedSource(25, 1)
  const api = source.api({ onRateLimit: 'wait' })
  const seen = await countCalls(async () => {
    assert.deepEqual(await statuses(times(50, (id) => api.fetch(results(id)))), [200])
  })
  assert.ok(seen.refused <= 25, `${seen.refused} refused`)
})

test('the documented allowance of the preset is respected', async () => {
  const source = await limitedSource(100, 60)
  const api = source.api({ allowance: 'documented' })
  const seen = await countCalls(async () => {
    assert.deepEqual(await statuses(times(10, (id) => api.fetch(results(id)))), [200])
    const error = await rejection(api.fetch(results(10)))
    assert.deepEqual([error.code, error.status], ['resource.rate_limited', undefined])
    assert.ok(error.retryAfter > 0 && error.retryAfter <= 61, `${error.retryAfter} s`)
  })
  assert.deepEqual(seen, { calls: 10, refused: 0 })
  const socios = provider('socios')
  assert.throws(() => socios.api({ app: source, allowance: 'documented' }), { code: 'api.rate_limit_undocumented' })
})

test('an aborted wait does not block the next caller in the queue', async () => {
  const source = await limitedSource(1, 2)
  let begun
  const waiting = new Promise((done) => { begun = done })
  const api = source.api({ onRateLimit: 'wait', onWait: () => begun() })
  await api.fetch(results(0))
  const leave = new AbortController()
  const first = api.fetch(results(1), { signal: leave.signal })
  const second = api.fetch(results(2))
  await waiting
  leave.abort(new Error('enough'))
  assert.equal((await rejection(first)).message, 'enough')
  assert.equal((await second).status, 200)
})

test('a streamed body is not resent after a rate limit', async () => {
  let calls = 0
  const api = await listen((request, response) => {
    calls += 1
    request.resume().on('end', () => response.writeHead(429, { 'retry-after': '1' }).end())
  })
  const source = fixedToken('text', { origins: [api], transport: 'loopback_http' })
  const body = new Blob(['{}']).stream()
  const error = await rejection(source.fetch(api, { method: 'POST', body, onRateLimit: 'wait' }))
  assert.deepEqual([error.code, error.retryAfter], ['resource.rate_limited', 1])
  assert.equal(calls, 1)
})

test('a buffered body is sent again, but not after a 503 if the request may have taken effect', async () => {
  const seen = []
  const api = await listen(async (request, response) => {
    const chunks = []
    for await (const chunk of request) chunks.push(chunk)
    seen.push(`${request.method} ${request.url} ${Buffer.concat(chunks)}`)
    const status = seen.length === 1 ? 429 : { '/busy': 503 }[request.url] ?? 200
    response.writeHead(status, { 'retry-after': '1' }).end()
  })
  const source = fixedToken('text', { origins: [api], transport: 'loopback_http' })
  const waiting = { method: 'POST', body: 'x', onRateLimit: 'wait' }
  assert.equal((await source.fetch(`${api}/`, waiting)).status, 200)
  assert.equal((await rejection(source.fetch(`${api}/busy`, waiting))).code, 'resource.rate_limited')
  assert.deepEqual(seen, ['POST / x', 'POST / x', 'POST /busy x'])
})

test('an invalid limit is a TypeError', async () => {
  const source = fixedToken('text', { origins: [generic.base], transport: 'loopback_http' })
  for (const options of [
    { onRateLimit: 'retry' }, { longestWaitMs: 0 }, { longestWaitMs: '5' }, { allowance: 10 }, { allowance: { requests: 1.5, seconds: 1 } },
    { allowance: { requests: 1 } }, { allowance: 'documented' }, { onWait: 1 }, { fetch: 1 },
  ]) {
    assert.throws(() => source.api(options), TypeError, JSON.stringify(options))
  }
  await assert.rejects(source.fetch(generic.base, { onRateLimit: 'retry' }), TypeError)
  await assert.rejects(source.fetch(generic.base, { longestWaitMs: NaN }), TypeError)
})
