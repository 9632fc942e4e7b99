// One grant with automatic renewal: all waiting callers share a request, even if some abort.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { followToCallback, core, listen, rejection, serverAt, twins } from './helper.mjs'

const { Client, LostError, Tokens, discover } = core
const { generic: twin, socios } = await twins()
const { clientId, clientSecret, redirectUris, issuer } = await twin.client()
const server = await discover(issuer, { transport: 'loopback_http' })
const customFetch = { fetch: (...request) => fetch(...request) }
const clients = {
  native: new Client(server, { clientId, clientSecret }),
  fetch: new Client(server, { clientId, clientSecret, ...customFetch }),
}

async function signIn(client, options) {
  const [redirectUri] = redirectUris
  const { url, flow } = client.authorize({ redirectUri, scope: 'read offline_access', ...options })
  return client.redeem(flow, await followToCallback(url, redirectUri))
}

/** A token endpoint that responds on demand. */
async function slow(reply = { access_token: 'late', token_type: 'Bearer', expires_in: 3600 }) {
  let release
  const gate = new Promise((open) => { release = open })
  const seen = { requests: 0, release }
  seen.base = await listen(async (request, response) => {
    seen.requests += 1
    request.resume()
    await gate
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(reply))
  })
  return seen
}

for (const [transport, client] of Object.entries(clients)) {
  for (const callers of [200, 1000]) {
    test(`${callers} concurrent callers share one request: ${transport}`, async () => {
      const source = client.clientCredentials({ scope: 'read' })
      const requests = await twin.tokenRequests(async () => {
        const all = await Promise.all(Array.from({ length: callers }, () => source.token()))
        assert.ok(all.every((tokens) => tokens === all[0]))
      })
      assert.equal(requests, 1)
    })
  }

  test(`1000 callers with an expired token use the refresh token once: ${transport}`, async () => {
    const first = await signIn(client)
    const stored = JSON.parse(first.serialize())
    stored.received_at -= 100_000
    const source = client.source(Tokens.deserialize(JSON.stringify(stored)))
    const before = await twin.counters()
    const all = await Promise.all(Array.from({ length: 1000 }, () => source.token()))
    const after = await twin.counters()
    assert.equal(after.token_requests - before.token_requests, 1)
    assert.equal(after.reuse_events, before.reuse_events)
    assert.ok(all.every((tokens) => tokens.refreshToken !== first.refreshToken))
  })

  test(`an aborted caller does not end the request of the others: ${transport}`, async () => {
    const gate = await slow()
    const ownClient = new Client(serverAt(gate.base), { clientId: 'id', clientSecret: 's', ...(transport === 'fetch' && customFetch) })
    const source = ownClient.clientCredentials()
    const leave = new AbortController()
    const leader = source.token({ signal: leave.signal })
    const follower = source.token()
    while (gate.requests === 0) await pause(5)
    leave.abort(new Error('enough'))
    assert.equal((await rejection(leader)).message, 'enough')
    gate.release()
    assert.equal((await follower).accessToken, 'late')
    assert.equal((await source.token()).accessToken, 'late')
    assert.equal(gate.requests, 1)
  })

  test(`the request continues after every caller has timed out: ${transport}`, async () => {
    const gate = await slow()
    const ownClient = new Client(serverAt(gate.base), { clientId: 'id', clientSecret: 's', ...(transport === 'fetch' && customFetch) })
    const source = ownClient.clientCredentials()
    const error = await rejection(source.token({ timeoutMs: 30 }))
    assert.ok(error instanceof LostError)
    assert.equal(error.code, 'lost.timeout')
    gate.release()
    assert.equal((await source.token()).accessToken, 'late')
    assert.equal(gate.requests, 1)
  })

  test(`a failed request rejects all callers, and the next call tries again: ${transport}`, async () => {
    const source = client.clientCredentials({ scope: 'read' })
    await twin.fault('status', { status: 503 })
    const errors = await Promise.all(Array.from({ length: 20 }, () => rejection(source.token())))
    // The first failure names a pause too, of a second, and holds up no other caller.
    assert.ok(errors.every((error) => error.advice === 'retry' && error.retryAfter === 1))
    assert.ok((await source.token()).accessToken)
  })

  test(`retryAfter is absent if retrying cannot help: ${transport}`, async () => {
    const ownClient = new Client(server, { clientId, clientSecret: 'wrong', ...(transport === 'fetch' && customFetch) })
    const source = ownClient.clientCredentials()
    let last
    for (let tries = 0; tries < 3; tries += 1) {
      last = await rejection(source.token())
      assert.deepEqual([last.code, last.advice, last.retryAfter], ['denied.invalid_client', 'give_up', undefined])
    }
    assert.equal(last.repeated, true)
    assert.match(last.message, /next attempt in \d+ s/)
  })

  test(`a Retry-After of the server applies to all grants of the client: ${transport}`, async () => {
    // The other tests' client keeps none.
    const ownClient = new Client(server, { clientId, clientSecret, ...(transport === 'fetch' && customFetch) })
    const source = ownClient.clientCredentials({ scope: 'read' })
    await twin.fault('status', { status: 503, retry_after: 70 })
    const requests = await twin.tokenRequests(async () => {
      for (const repeated of [false, true, true]) {
        const error = await rejection(source.token())
        // A second more than the server says, so that a caller who waits that long does not get the same error again.
        assert.ok([70, 71].includes(error.retryAfter), error.retryAfter)
        assert.equal(error.repeated, repeated)
      }
      const other = await rejection(ownClient.clientCredentials({ scope: 'write' }).token())
      assert.equal(other.code, 'denied.busy')
      assert.ok(other.repeated && other.retryAfter <= 71)
    })
    assert.equal(requests, 1)
  })

  test(`a request ends at its timeout: ${transport}`, async () => {
    const gate = await slow()
    const options = { clientId: 'id', clientSecret: 's', timeoutMs: 50, ...(transport === 'fetch' && customFetch) }
    const source = new Client(serverAt(gate.base), options).clientCredentials()
    const error = await rejection(source.token())
    assert.ok(error instanceof LostError)
    assert.equal(error.endpoint, 'token')
    assert.ok(error.cause instanceof Error)
    gate.release()
  })

  test(`signal and timeoutMs apply to a single call: ${transport}`, async () => {
    const gate = await slow()
    const ownClient = new Client(serverAt(gate.base), { clientId: 'id', clientSecret: 's', ...(transport === 'fetch' && customFetch) })
    const grant = { username: 'u', password: 'p' }
    const late = await rejection(ownClient.password(grant, { timeoutMs: 40 }))
    assert.equal(late.code, 'lost.timeout')
    while (gate.requests === 0) await pause(5)
    const signal = AbortSignal.timeout(40)
    assert.equal((await rejection(ownClient.password(grant, { signal }))).name, 'TimeoutError')
    assert.equal((await rejection(ownClient.password(grant, { signal }))).name, 'TimeoutError')
    assert.equal(gate.requests, 2)
    gate.release()
  })
}

test('onTokens completes before callers receive the tokens', async () => {
  const order = []
  const onTokens = async () => {
    await pause(30)
    order.push('stored')
  }
  const source = clients.native.clientCredentials({ scope: 'read', onTokens })
  await Promise.all([1, 2, 3].map(() => source.token().then(() => order.push('seen'))))
  assert.deepEqual(order, ['stored', 'seen', 'seen', 'seen'])
})

test('an error of onTokens is reported, and the tokens are kept', async () => {
  let calls = 0
  const onTokens = () => {
    calls += 1
    throw new Error('disk full')
  }
  const source = clients.native.clientCredentials({ scope: 'read', onTokens })
  const requests = await twin.tokenRequests(async () => {
    assert.equal((await rejection(source.token())).message, 'disk full')
    assert.ok((await source.token()).accessToken)
  })
  assert.deepEqual([requests, calls], [1, 1])
})

test('invalidate discards only the given token', async () => {
  const source = clients.native.clientCredentials({ scope: 'read' })
  const first = await source.token()
  source.invalidate(first)
  const second = await source.token()
  assert.notEqual(second.accessToken, first.accessToken)
  source.invalidate(first)
  assert.equal(await source.token(), second)
  assert.equal(await source.renew(first), second)
})

test('a source rejects tokens of another server or client', async () => {
  const tokens = await signIn(clients.native)
  const other = new Client(server, { clientId: 'other', clientSecret: 's' })
  assert.throws(() => other.source(tokens), { code: 'stored.issuer', kind: 'untrusted' })
})

test('a token is sent to the allowed origins only', async () => {
  let strangers = 0
  const elsewhere = await listen((request, response) => {
    strangers += 1
    response.end()
  })
  const source = clients.native.clientCredentials({ scope: 'read', origins: [twin.base] })
  const refused = { code: 'resource.origin_not_allowed', kind: 'misuse' }
  await assert.rejects(source.fetch(`${elsewhere}/`), refused)
  await assert.rejects(clients.native.clientCredentials().fetch(`${twin.base}/api/echo`), refused)
  await assert.rejects(source.fetch('/api/echo'), { code: 'url.syntax' })
  await assert.rejects(source.fetch(`${twin.base}/api/echo?access_token=x`), { code: 'token.in_query' })
  const authorization = { authorization: 'Basic eDp5' }
  await assert.rejects(source.fetch(`${twin.base}/api/echo`, { headers: authorization }), { code: 'token.more_than_one_method' })
  assert.equal(strangers, 0)
})

test('redirects are followed within the origin and returned otherwise', async () => {
  let seen = []
  const elsewhere = await listen((request, response) => {
    seen.push('elsewhere')
    response.end()
  })
  const api = await listen((request, response) => {
    seen.push(`${request.url} ${request.headers.authorization ?? ''}`.trim())
    const to = { '/here': '/there', '/away': `${elsewhere}/` }[request.url]
    response.writeHead(to ? 307 : 200, to ? { location: to } : {}).end()
  })
  const source = clients.native.clientCredentials({ scope: 'read', origins: [api] })
  const { accessToken } = await source.token()
  assert.equal((await source.fetch(`${api}/here`)).status, 200)
  assert.deepEqual(seen, [`/here Bearer ${accessToken}`, `/there Bearer ${accessToken}`])
  seen = []
  assert.equal((await source.fetch(`${api}/away`)).status, 307)
  assert.deepEqual(seen, [`/away Bearer ${accessToken}`])
})

test('source.fetch accepts URL objects, Request objects, forms and bytes', async () => {
  const seen = []
  const api = await listen(async (request, response) => {
    const chunks = []
    for await (const chunk of request) chunks.push(chunk)
    seen.push([request.method, request.headers['content-type'], Buffer.concat(chunks).toString()])
    response.end('fine')
  })
  const source = clients.native.clientCredentials({ scope: 'read', origins: [api] })
  const reply = await source.fetch(new URL(`${api}/a b`))
  assert.equal(await reply.text(), 'fine')
  await source.fetch(new Request(`${api}/`, { method: 'POST', body: 'streams', headers: { 'content-type': 'text/x' } }))
  await source.fetch(`${api}/`, { method: 'put', body: new URLSearchParams({ a: '1' }) })
  await source.fetch(`${api}/`, { method: 'POST', body: new Uint8Array([104, 105]) })
  assert.deepEqual(seen, [
    ['GET', undefined, ''],
    ['POST', 'text/x', 'streams'],
    ['PUT', 'application/x-www-form-urlencoded;charset=UTF-8', 'a=1'],
    ['POST', undefined, 'hi'],
  ])
})

test('an abort signal ends a request to the API', async () => {
  const api = await listen(() => {})
  const source = clients.native.clientCredentials({ scope: 'read', origins: [api] })
  await assert.rejects(source.fetch(`${api}/`, { signal: AbortSignal.timeout(50) }), { name: 'TimeoutError' })
})

test('a preset defines its API origins', async () => {
  const { clientId, clientSecret } = await socios.client()
  const preset = core.provider('socios', { loopback: socios.base })
  assert.deepEqual(preset.apiOrigins, [socios.base])
  assert.deepEqual(core.provider('socios').apiOrigins, ['https://api-public.socios.com'])
  const source = new Client(preset, { clientId, clientSecret }).clientCredentials()
  await assert.rejects(source.fetch(`${twin.base}/`), { code: 'resource.origin_not_allowed' })
})
