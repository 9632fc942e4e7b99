// Servers with a different clock: a DPoP proof refused for its time is created again, with the time of the
// Date header (RFC 9449 section 11.1).
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { core, listen, serverAt } from './helper.mjs'

const { Client, DpopKey } = core
const HOUR = 3600

/** A token endpoint and an API whose clock is ahead by this many seconds, and drifts by `drift` with each rejection. */
async function serverWithSkew(ahead, drift = 0) {
  const state = { ahead, drift, seen: [] }
  state.base = await listen((request, response) => {
    const serverTime = Math.floor(Date.now() / 1000) + state.ahead
    const { iat } = JSON.parse(Buffer.from(request.headers.dpop.split('.')[1], 'base64url'))
    const isToken = request.url === '/token'
    const headers = { 'content-type': 'application/json', date: new Date(serverTime * 1000).toUTCString() }
    const json = (status, body, more) => {
      state.seen.push([request.url, status])
      response.writeHead(status, { ...headers, ...more }).end(JSON.stringify(body))
    }
    if (Math.abs(iat - serverTime) <= 60) {
      return json(200, isToken ? { access_token: 'a~t', token_type: 'DPoP', expires_in: 600 } : { well: true })
    }
    state.ahead += state.drift
    const challenge = isToken ? {} : { 'www-authenticate': 'DPoP error="invalid_dpop_proof"' }
    return json(isToken ? 400 : 401, { error: 'invalid_dpop_proof' }, challenge)
  })
  const options = { clientId: 'id', clientSecret: 's'.repeat(32), dpopKey: await DpopKey.generate() }
  state.source = new Client(serverAt(state.base), options).clientCredentials({ origins: [state.base] })
  return state
}

test('the clock skew of the server is learned from one rejected proof', async () => {
  for (const ahead of [HOUR, -HOUR]) {
    const { base, seen, source } = await serverWithSkew(ahead)
    for (const body of [undefined, 'x']) {
      const reply = await source.fetch(`${base}/things`, { method: 'POST', body })
      assert.deepEqual(await reply.json(), { well: true })
    }
    // Each side has refused one proof, and none since.
    assert.deepEqual(seen, [['/token', 400], ['/token', 200], ['/things', 401], ['/things', 200], ['/things', 200]])
  }
})

/** A clock that changes with each reply must not cause endless retries. */
test('a second rejection for the time of the proof is reported', async () => {
  const { seen, source } = await serverWithSkew(HOUR, HOUR)
  await assert.rejects(source.token(), { code: 'denied.invalid_dpop_proof' })
  assert.deepEqual(seen, [['/token', 400], ['/token', 400]])
})

test('a second 401 of the API for the time of the proof is returned', async () => {
  const state = await serverWithSkew(0)
  await state.source.token()
  Object.assign(state, { ahead: HOUR, drift: HOUR })
  state.seen.length = 0
  assert.equal((await state.source.fetch(`${state.base}/things`)).status, 401)
  assert.deepEqual(state.seen, [['/things', 401], ['/things', 401]])
})
