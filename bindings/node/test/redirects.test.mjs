// `source.fetch` does with a redirect what `fetch` does (Fetch, HTTP-redirect fetch), within the origin.
import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { after, test } from 'node:test'
import { core } from './helper.mjs'

const seen = []
const server = createServer(async (request, reply) => {
  const body = (await request.toArray()).join('')
  seen.push([request.method, request.url, body, request.headers['content-type'], request.headers.authorization])
  const [, status, location] = /^\/(\d+)(.*)/.exec(request.url) ?? []
  if (status) return reply.writeHead(Number(status), { location: location || request.url }).end()
  reply.end('arrived')
})
await new Promise((done) => server.listen(0, '127.0.0.1', done))
after(() => {
  server.close()
  server.closeAllConnections()
})
const base = `http://127.0.0.1:${server.address().port}`

/** Gives tokens, and counts how often it was asked for another. */
const fixed = core.fixedToken('t', { origins: [base], transport: 'loopback_http' })
const post = { method: 'POST', body: 'x', headers: { 'content-type': 'text/plain', 'x-kept': '1' } }

/** The response of `fetch`, the last request, and the number of requests. */
async function fetchFollowing(path, init, source = fixed) {
  seen.length = 0
  const outcome = await source.fetch(base + path, init).then((reply) => reply.status, (error) => error)
  return { outcome, last: seen.at(-1), requests: seen.length }
}

test('redirect mode manual returns the redirect, and error rejects it', async () => {
  assert.deepEqual(await fetchFollowing('/302/to', { redirect: 'manual' }).then(({ outcome, requests }) => [outcome, requests]), [302, 1])
  const manualRequest = new Request(`${base}/302/to`, { redirect: 'manual' })
  assert.equal((await fixed.fetch(manualRequest)).status, 302)
  const { outcome, requests } = await fetchFollowing('/302/to', { redirect: 'error' })
  assert.ok(outcome instanceof TypeError)
  assert.deepEqual([outcome.cause.message, requests], ['unexpected redirect', 1])
  await assert.rejects(fixed.fetch(base, { redirect: 'sometimes' }), /redirect must be 'follow', 'manual' or 'error'/)
})

test('307 and 308 resend the body, and 301, 302 and 303 turn a POST into a GET', async () => {
  for (const status of [307, 308]) {
    const { outcome, last } = await fetchFollowing(`/${status}/to`, post)
    assert.deepEqual([outcome, last], [200, ['POST', '/to', 'x', 'text/plain', 'Bearer t']])
  }
  for (const status of [301, 302, 303]) {
    const { outcome, last } = await fetchFollowing(`/${status}/to`, post)
    assert.deepEqual([outcome, last], [200, ['GET', '/to', '', undefined, 'Bearer t']])
  }
  // A PUT keeps its method, unless the reply is a 303.
  assert.deepEqual((await fetchFollowing('/303/to', { ...post, method: 'PUT' })).last.slice(0, 2), ['GET', '/to'])
})

test('a redirect to another origin is returned, not followed', async () => {
  const other = createServer((_, reply) => reply.end()).listen(0, '127.0.0.1')
  await new Promise((done) => other.once('listening', done))
  let requests = 0
  other.on('request', () => { requests += 1 })
  const elsewhere = `http://127.0.0.1:${other.address().port}/`
  const leading = createServer((_, reply) => reply.writeHead(302, { location: elsewhere }).end()).listen(0, '127.0.0.1')
  await new Promise((done) => leading.once('listening', done))
  const from = `http://127.0.0.1:${leading.address().port}`
  const source = core.fixedToken('t', { origins: [from], transport: 'loopback_http' })
  try {
    for (const method of ['GET', 'POST']) assert.equal((await source.fetch(from, { method })).status, 302)
    assert.equal(requests, 0)
  } finally {
    for (const one of [other, leading]) {
      one.close()
      one.closeAllConnections()
    }
  }
})

test('more than 20 redirects are an error', async () => {
  const { outcome, requests } = await fetchFollowing('/302')
  assert.ok(outcome instanceof TypeError, String(outcome))
  assert.deepEqual([outcome.cause.message, requests], ['redirect count exceeded', 21])
})

test('a redirect on the same API gets its token from the source again', async () => {
  const tokens = core.Tokens.bearer('t')
  const requests = []
  const customSource = {
    token: async () => (requests.push('token'), tokens),
    renew: async () => (requests.push('renew'), tokens),
    invalidate: () => requests.push('invalidate'),
  }
  const server = core.Server.fromMetadata(base, { issuer: base, token_endpoint: `${base}/t` }, { transport: 'loopback_http' })
  const api = server.api({ app: customSource, origins: [base] })
  assert.deepEqual([(await fetchFollowing('/302/to', undefined, api)).outcome, requests], [200, ['token', 'token']])
})

test('a fetch that is called without its source reports it', async () => {
  const { fetch } = fixed
  await assert.rejects(fetch(base), /fetch belongs to its source/)
  const { fetch: ofApi } = fixed.api()
  await assert.rejects(ofApi(base), /fetch belongs to its api/)
  assert.equal((await fixed.fetch.bind(fixed)(base)).status, 200)
})
