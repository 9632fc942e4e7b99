// One API, two owners: each route gets the token of its own, and a wrong one is never sent.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { followToCallback, core, listen, rejection, twins } from './helper.mjs'

const { Client, MisuseError, Tokens, fixedToken, provider, providerFile } = core
const twin = (await twins()).socios
const { clientId, clientSecret, redirectUris } = await twin.client()
const server = provider('socios', { loopback: twin.base })
const client = new Client(server, { clientId, clientSecret, redirectUris })
const app = client.clientCredentials()
const user = client.source(await connect())
const api = server.api({ app, user })

async function connect() {
  const [redirectUri] = redirectUris
  const { url, flow } = client.authorize({ redirectUri, extra: { partner_tag: 'acme' } })
  return client.redeem(flow, await followToCallback(url, redirectUri))
}

/** A source of the caller's own, which remembers what it was asked. */
function fake(...texts) {
  const requests = []
  const next = (what) => {
    requests.push(what)
    return Tokens.bearer(texts.length > 1 ? texts.shift() : texts[0])
  }
  return {
    asked: requests,
    async token() { return next('token') },
    async renew(refused) { return next(`renew ${refused.accessToken}`) },
    invalidate(refused) { requests.push(`invalidate ${refused.accessToken}`) },
  }
}

test('each API route gets the token of its owner', async () => {
  assert.equal((await api.fetch(`${twin.base}/polls/1.0.0/polls`)).status, 200)
  const wallet = await api.fetch(`${twin.base}/wallet/1.0.0/user/wallet`)
  assert.ok((await wallet.json()).data.userId)
  const vote = await api.fetch(new Request(`${twin.base}/user/poll/7/vote`, { method: 'POST', body: '{}' }))
  assert.equal(vote.status, 200)
  assert.equal(api.owner(`${twin.base}/polls/1.0.0/polls`), 'application')
  assert.equal(api.owner(new URL(`${twin.base}/user/polls`)), 'user')
})

test('the client and the server agree on the owner of every route', async () => {
  const paths = {
    user: [
      '/user', '/user/polls', '/wallet/1.0.0/user/wallet', '/user?x=1', '//user', '/user/', '/%75ser/polls',
      '/%75%73%65%72', '/user/poll/a%2Fb/vote',
    ],
    application: [
      '', '/', '/users', '/poll/user-1', '/User/polls', '/USER', '/%55ser', '/polls?by=/user/', '/polls#/user', '/a%2Fb',
    ],
  }
  for (const [owner, all] of Object.entries(paths)) {
    for (const path of all) {
      assert.equal(api.owner(twin.base + path), owner, path)
      assert.notEqual((await api.fetch(twin.base + path)).status, 403, path)
    }
  }
  // Without this check, the server would have refused the token.
  const { accessToken } = await app.token()
  const wrong = await fetch(`${twin.base}/user/polls`, { headers: { authorization: `Bearer ${accessToken}` } })
  assert.equal(wrong.status, 403)
})

test('an ambiguous path is rejected before anything is sent', async () => {
  const { length } = await twin.log()
  for (const path of [
    '/polls%2Fuser', '/polls%2fuser/1', '/polls%5Cuser', '/user;v=1/polls', '/%2575ser', '/%252575ser',
    '/user%2f..%2fpolls', '/%75ser%3Ba',
  ]) {
    assert.equal((await rejection(api.fetch(twin.base + path))).code, 'resource.route_ambiguous', path)
    assert.throws(() => api.owner(twin.base + path), { code: 'resource.route_ambiguous' }, path)
  }
  for (const path of ['/a/../user', '/user/../polls', '/user/%2e%2e/polls', '/polls\\user', '/%zzuser', '/user%']) {
    assert.equal((await rejection(api.fetch(twin.base + path))).code, 'url.syntax', path)
    assert.throws(() => api.owner(twin.base + path), { code: 'url.syntax' }, path)
  }
  assert.equal((await twin.log()).length, length)
})

test('a route without a token source for its owner is rejected before anything is sent', async () => {
  const { length } = await twin.log()
  const none = fake('none')
  for (const [half, path, expectedMessage] of [
    [{ app: none }, '/user/polls', /user's token/],
    [{ user: none }, '/polls/1.0.0/polls', /application's token/],
  ]) {
    const error = await rejection(server.api(half).fetch(twin.base + path))
    assert.ok(error instanceof MisuseError)
    assert.equal(error.code, 'resource.no_token_source')
    assert.match(error.message, expectedMessage)
  }
  assert.throws(() => server.api({}), { code: 'resource.no_token_source' })
  const one = provider('usertesting', { loopback: twin.base })
  assert.throws(() => one.api({ app: none, user: none }), { code: 'resource.no_token_source' })
  assert.deepEqual(none.asked, [])
  assert.equal((await twin.log()).length, length)
})

test('a 401 renews only the token of the owner of the route', async () => {
  const validToken = (await user.token()).accessToken
  const [ours, theirs] = [fake('ours'), fake('dead', validToken)]
  const faked = server.api({ app: ours, user: theirs })
  assert.equal((await faked.fetch(`${twin.base}/user/polls`)).status, 200)
  assert.deepEqual([ours.asked, theirs.asked], [[], ['token', 'renew dead']])
  // A stream cannot be sent again: the token that it refused is forgotten.
  const expiredSource = fake('dead')
  const body = new Blob(['{}']).stream()
  const api = server.api({ user: expiredSource })
  const reply = await api.fetch(`${twin.base}/user/poll/7/vote`, { method: 'POST', body })
  assert.equal(reply.status, 401)
  assert.deepEqual(expiredSource.asked, ['token', 'invalidate dead'])
})

test('a redirect to a route of the other owner gets the other token', async () => {
  const seen = []
  const elsewhere = await listen((request, response) => {
    seen.push(`${request.url} ${request.headers.authorization}`)
    response.writeHead(request.url === '/here' ? 302 : 200, { location: '/user/there' }).end()
  })
  const moved = server.api({ app: fake('ours'), user: fake('theirs'), origins: [elsewhere] })
  assert.equal((await moved.fetch(`${elsewhere}/here`)).status, 200)
  assert.deepEqual(seen, ['/here Bearer ours', '/user/there Bearer theirs'])
})

test('a custom provider file defines which routes need the token of a user', async () => {
  const file = `
    name = "acme"
    title = "Acme"
    issuer = "https://{tenant}.login.example"
    client_auth = "basic"
    grants = ["client_credentials", "authorization_code"]
    api = ["https://api.acme.example/"]
    [token_route]
    user_segments = ["me"]
    [variables.tenant]
    type = "dns_label"
    description = "the tenant"
    example = "staff"
    [endpoints]
    token_endpoint = "{issuer}/token"
    authorization_endpoint = "{issuer}/authorize"`
  const variables = { tenant: 'staff' }
  const acme = providerFile(file, { variables })
  assert.equal(acme.issuer, 'https://staff.login.example')
  const both = acme.api({ app: fixedToken('ours'), user: fixedToken('theirs') })
  assert.equal(both.owner('https://api.acme.example/me/things'), 'user')
  assert.equal(both.owner('https://api.acme.example/things'), 'application')
  assert.deepEqual(providerFile(file, { variables, loopback: twin.base }).apiOrigins, [twin.base])
  assert.throws(() => providerFile(file), { code: 'provider.variable' })
  assert.throws(() => providerFile('name = 7'), { code: 'provider.data' })
})

test('an invalid source is a TypeError', () => {
  for (const app of [null, 7, 'token', {}, { token() {} }, client]) {
    assert.throws(() => server.api({ app }), TypeError, inspect(app))
  }
})

test('an API sends its requests with a custom fetch', async () => {
  const seen = []
  const apiWithCustomFetch = server.api({ app, fetch: (url, init) => { seen.push(url); return fetch(url, init) } })
  assert.equal((await apiWithCustomFetch.fetch(`${twin.base}/polls/1.0.0/polls`)).status, 200)
  assert.deepEqual(seen, [`${twin.base}/polls/1.0.0/polls`])
})
