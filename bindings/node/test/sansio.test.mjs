// Sans-I/O: the same exchanges, driven over a custom HTTP client.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { followToCallback, core, listen, rejection, serverAt, twins } from './helper.mjs'

const { Client, DeniedError, LostError, MisuseError, Server, Tokens, discover, discovery, run } = core
const { generic: twin } = await twins()
const { clientId, clientSecret, redirectUris, issuer } = await twin.client()
const server = await run(discovery(issuer, { transport: 'loopback_http' }), { fetch })
const client = new Client(server, { clientId, clientSecret })

test('discovery and client credentials run over fetch', async () => {
  assert.ok(server instanceof Server)
  assert.equal(server.issuer, issuer)
  const tokens = await run(client.exchange.clientCredentials({ scope: 'read' }), { fetch })
  assert.ok(tokens instanceof Tokens)
  assert.deepEqual(tokens.scope, ['read'])
})

test('run uses fetch by default', async () => {
  assert.ok((await run(client.exchange.clientCredentials())).accessToken)
})

test('a user grant is redeemed, refreshed, introspected and revoked', async () => {
  const [redirectUri] = redirectUris
  const { url, flow } = client.authorize({ redirectUri, scope: 'read offline_access' })
  const first = await run(client.exchange.redeem(flow, await followToCallback(url, redirectUri)))
  const second = await run(client.exchange.refresh({ tokens: first, scope: 'read' }))
  assert.deepEqual(second.scope, ['read'])
  const state = await run(client.exchange.introspect({ token: second.accessToken, tokenTypeHint: 'access_token' }))
  assert.equal(state.active, true)
  assert.deepEqual(state.scope, ['read'])
  assert.equal(await run(client.exchange.revoke({ token: second.refreshToken })), undefined)
  assert.ok(await rejection(run(client.exchange.refresh({ tokens: second }))) instanceof DeniedError)
})

test('the password grant runs over fetch and the native transport', async () => {
  // The twin's one user.
  const grant = { username: 'alice', password: 'w0nder+land & more', scope: 'read' }
  assert.deepEqual((await run(client.exchange.password(grant))).scope, ['read'])
  assert.deepEqual((await client.password(grant)).scope, ['read'])
  const error = await rejection(client.password({ ...grant, password: 'guess' }))
  assert.ok(error instanceof DeniedError)
  assert.equal(error.code, 'denied.invalid_grant')
})

test('client credentials run step by step', () => {
  const exchange = client.exchange.clientCredentials({ scope: 'read' })
  const step = exchange.begin()
  assert.deepEqual([step.kind, step.method, step.url], ['send', 'POST', `${issuer}/token`])
  assert.ok(step.headers.every(([name, value]) => name === name.toLowerCase() && typeof value === 'string'))
  assert.match(Buffer.from(step.body).toString(), /grant_type=client_credentials/)
  const body = Buffer.from('{"access_token":"abc","token_type":"Bearer","expires_in":60}')
  const done = exchange.reply({ status: 200, headers: [['Content-Type', 'application/json']], body })
  assert.equal(done.kind, 'done')
  assert.equal(done.value.accessToken, 'abc')
  assert.throws(() => exchange.elapsed(), { code: 'misuse.already_finished' })
})

test('a custom moment makes requests reproducible', () => {
  let steps = 0
  const moment = () => ({ now: 1_750_000_000 + steps++, seed: new Uint8Array(32).fill(7) })
  const [redirectUri] = redirectUris
  const [first, second] = [1, 2].map(() => client.authorize({ redirectUri, moment }))
  assert.equal(first.url.href, second.url.href)
  assert.notEqual(first.url.href, client.authorize({ redirectUri }).url.href)
  assert.equal(first.flow.startedAt.getTime(), 1_750_000_000_000)
  const exchange = client.exchange.clientCredentials({}, { moment })
  exchange.begin()
  const body = Buffer.from('{"access_token":"abc","token_type":"Bearer"}')
  const { value } = exchange.reply({ status: 200, headers: [], body })
  assert.equal(value.receivedAt.getTime(), 1_750_000_003_000)
  assert.equal(steps, 4)
})

test('an invalid moment prevents the step', () => {
  const seed = new Uint8Array(32)
  for (const value of [undefined, null, {}, { now: 1 }, { now: -1, seed }, { now: NaN, seed }, { now: 1, seed: new Uint8Array(31) }]) {
    const exchange = client.exchange.clientCredentials({}, { moment: () => value })
    assert.throws(() => exchange.begin(), TypeError)
    assert.throws(() => client.authorize({ redirectUri: redirectUris[0], moment: () => value }), TypeError)
  }
  assert.throws(() => client.exchange.clientCredentials({}, { moment: { now: 1, seed } }), TypeError)
  let tries = 0
  const moment = () => {
    if (tries++ === 0) throw new RangeError('no clock')
    return { now: 1, seed }
  }
  const exchange = client.exchange.clientCredentials({}, { moment })
  assert.throws(() => exchange.begin(), RangeError)
  assert.equal(exchange.begin().kind, 'send')
})

test('out-of-order calls of an exchange are rejected', () => {
  const outOfOrder = { code: 'misuse.out_of_order', kind: 'misuse' }
  assert.throws(() => client.exchange.clientCredentials().elapsed(), outOfOrder)
  const begun = client.exchange.clientCredentials()
  begun.begin()
  assert.throws(() => begun.signed(new Uint8Array(64)), outOfOrder)
  const exchange = client.exchange.clientCredentials()
  exchange.begin()
  assert.throws(() => exchange.reply({ status: 99, headers: [], body: new Uint8Array() }), MisuseError)
})

test('a lost response is reported with its cause', () => {
  const exchange = client.exchange.clientCredentials()
  exchange.begin()
  const cause = new Error('socket hang up')
  assert.throws(() => exchange.lost(cause), (error) => error instanceof LostError && error.cause === cause)
  const large = client.exchange.clientCredentials()
  large.begin()
  assert.throws(() => large.lost('large', 'too_large'), { code: 'reply.too_large' })
})

test('the reason for a missing response is derived from the error of fetch', async () => {
  const errorWithCode = (code, cause) =>
    Object.assign(new Error(`https://as.example/token?code=${code}`, { cause }), { code })
  const fetchFailed = (cause) => new TypeError('fetch failed', { cause })
  const circular = new Error('round')
  circular.cause = circular
  const losses = [
    [fetchFailed(errorWithCode('ENOTFOUND')), 'lost.dns', 'retry'],
    [fetchFailed(errorWithCode('ECONNREFUSED')), 'lost.connect', 'retry'],
    [fetchFailed(errorWithCode('UND_ERR_CONNECT_TIMEOUT')), 'lost.connect', 'retry'],
    [fetchFailed(errorWithCode('SELF_SIGNED_CERT_IN_CHAIN')), 'lost.tls', 'give_up'],
    [fetchFailed(errorWithCode('ERR_SSL_WRONG_VERSION_NUMBER')), 'lost.tls', 'give_up'],
    [fetchFailed(errorWithCode('UND_ERR_HEADERS_TIMEOUT')), 'lost.timeout', 'retry'],
    [new DOMException('late', 'TimeoutError'), 'lost.timeout', 'retry'],
    [fetchFailed(fetchFailed(errorWithCode('ECONNRESET'))), 'lost.closed', 'retry'],
    [fetchFailed(undefined), 'lost', 'retry'],
    [fetchFailed(errorWithCode('E_OF_ITS_OWN')), 'lost', 'retry'],
    [fetchFailed(circular), 'lost', 'retry'],
  ]
  for (const [thrown, expected, advice] of losses) {
    const fetch = () => Promise.reject(thrown)
    await assert.rejects(run(client.exchange.clientCredentials(), { fetch }), (error) => {
      assert.deepEqual([error.code, error.advice, error.cause], [expected, advice, thrown])
      return true
    })
  }
  const exchange = client.exchange.clientCredentials()
  exchange.begin()
  assert.throws(() => exchange.lost('so', 'unknown', 'weather'), /loss must be dns/)
})

test('a step does not show its contents', () => {
  const exchange = new Client(server, { clientId, clientSecret: 'hush', clientAuth: 'client_secret_post' }).exchange
  const shown = inspect(exchange.password({ username: 'ann', password: 'hunter2' }).begin(), { depth: 9 })
  assert.match(shown, /kind: 'send'/)
  assert.ok(!shown.includes('hush') && !shown.includes('hunter2'))
})

test('every request disables redirects and is aborted by its signal', async () => {
  const seen = []
  const forbiddenFetch = (url, init) => {
    seen.push(init)
    return fetch(url, init)
  }
  await run(client.exchange.clientCredentials(), { fetch: forbiddenFetch })
  assert.deepEqual(seen.map((init) => init.redirect), ['manual'])
  assert.ok(seen[0].signal instanceof AbortSignal)
  const silent = await listen(() => {})
  const ownClient = new Client(serverAt(silent), { clientId, clientSecret })
  const signal = AbortSignal.timeout(40)
  assert.equal((await rejection(run(ownClient.exchange.clientCredentials(), { signal }))).name, 'TimeoutError')
  const late = await rejection(run(ownClient.exchange.clientCredentials(), { timeoutMs: 40 }))
  assert.ok(late instanceof LostError)
})

test('a client sends all requests over its custom fetch', async () => {
  let requests = 0
  const countingFetch = (...request) => {
    requests += 1
    return fetch(...request)
  }
  const client = new Client(server, { clientId, clientSecret, fetch: countingFetch })
  const source = client.clientCredentials({ scope: 'read', origins: [twin.base] })
  const tokens = await source.token()
  assert.equal((await source.fetch(`${twin.base}/api/echo`)).status, 200)
  assert.equal((await client.introspect({ token: tokens.accessToken })).active, true)
  await client.revoke({ token: tokens.accessToken })
  assert.equal(requests, 4)
  await discover(issuer, { transport: 'loopback_http', fetch: countingFetch })
  assert.ok(requests > 4)
})
