// Clock skew between page and server: a proof rejected for its time is recreated once with the Date of the server
// (RFC 9449 section 11.1), which a page may read if the server says so (Access-Control-Expose-Headers).

import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { after, before, beforeEach, test } from 'node:test'
import { handle, startWorld, toCallback } from './suite.js'

const harness = startWorld({ oidc: true, script: 'fapi.mjs' })
const HOUR = 3600

/** A server's clock: how far it is ahead, and by how much it moves with each refusal. What was judged by it is in `seen`. */
const clock = { ahead: 0, drift: 0, seen: [] }
const start = (ahead, drift) => Object.assign(clock, { ahead, drift, seen: [] })

/** The header fields with which a server by that clock refuses a proof; `undefined` if it accepts the proof. */
function refusal(path, proof) {
  const serverTime = Math.floor(Date.now() / 1000) + clock.ahead
  const { iat } = JSON.parse(Buffer.from(proof.split('.')[1], 'base64url'))
  const isTaken = Math.abs(iat - serverTime) <= 60
  clock.seen.push([path, isTaken ? 'taken' : 'refused'])
  if (isTaken) return undefined
  clock.ahead += clock.drift
  return { date: new Date(serverTime * 1000).toUTCString(), 'content-type': 'application/json' }
}

const cors = () => ({
  'access-control-allow-origin': harness.origin,
  'access-control-allow-headers': 'authorization, dpop',
  'access-control-expose-headers': 'date, www-authenticate',
})
const BODY = '{"error":"invalid_dpop_proof"}'

let api
const server = createServer((request, response) => {
  if (request.method === 'OPTIONS') return response.writeHead(204, cors()).end()
  const head = refusal('/things', request.headers.dpop)
  if (!head) return response.writeHead(200, cors()).end('{}')
  response.writeHead(401, { ...cors(), ...head, 'www-authenticate': 'DPoP error="invalid_dpop_proof"' }).end(BODY)
})
before(async () => {
  await new Promise((done) => server.listen(0, '127.0.0.1', done))
  api = `http://127.0.0.1:${server.address().port}`
})
after(() => {
  server.closeAllConnections()
  server.close()
})
/** Requests whose proof time is accepted go to the token endpoint of the certified server. */
beforeEach(() => harness.context.route(`${harness.oidc.issuer}/token`, (route) => {
  const { dpop } = route.request().headers()
  const head = dpop && refusal('/token', dpop)
  return head ? route.fulfill({ status: 400, headers: { ...cors(), ...head }, body: BODY }) : route.continue()
}))

const bound = () => ({ ...harness.configs.oidc, clientId: 'public', dpop: true, api: [api] })
const call = (page) => page.evaluate((url) => session.fetch(url).then(({ status }) => status), `${api}/things`)

test('the clock skew of the server is learned from one rejected proof', async () => {
  for (const ahead of [HOUR, -HOUR]) {
    start(ahead, 0)
    const page = await harness.page()
    await toCallback(harness, page, bound(), { scope: 'openid' })
    assert.deepEqual(await handle(page, bound()), { value: true })
    assert.deepEqual([await call(page), await call(page)], [200, 200])
    // One refusal each; what comes between is the certified server's own wish for a nonce.
    assert.deepEqual(clock.seen.filter(([, verdict]) => verdict === 'refused').map(([path]) => path), ['/token', '/things'])
    assert.deepEqual(clock.seen.filter(([path]) => path === '/things').length, 3)
  }
})

test('a second rejection for the time of the proof is reported', async () => {
  start(HOUR, HOUR)
  const page = await harness.page()
  await toCallback(harness, page, bound(), { scope: 'openid' })
  assert.equal((await handle(page, bound())).code, 'denied.invalid_dpop_proof')
  assert.deepEqual(clock.seen, [['/token', 'refused'], ['/token', 'refused']])
})

test('a second 401 of the API for the time of the proof is returned', async () => {
  start(0, 0)
  const page = await harness.page()
  await toCallback(harness, page, bound(), { scope: 'openid' })
  assert.deepEqual(await handle(page, bound()), { value: true })
  start(HOUR, HOUR)
  assert.equal(await call(page), 401)
  assert.deepEqual(clock.seen, [['/things', 'refused'], ['/things', 'refused']])
})
