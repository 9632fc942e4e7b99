// UserTesting: accounts with an API key, and apps of the developer portal.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { followToCallback, core, twins } from './helper.mjs'

const { Client, MisuseError, discover, provider } = core
const { usertesting: twin, 'usertesting-apps': portal } = await twins()

test('an account gets a one-hour token and reads results of both API versions', async () => {
  const { clientId, clientSecret } = await twin.client()
  const client = new Client(provider('usertesting', { loopback: twin.base }), { clientId, clientSecret })
  const source = client.clientCredentials({ scope: 'studies:read' })
  const tokens = await source.token()
  assert.deepEqual(tokens.scope, ['studies:read'])
  assert.equal(tokens.expiresIn, 3600)
  assert.equal(tokens.refreshToken, undefined)
  for (const version of ['v1', 'v2']) {
    assert.equal((await source.fetch(`${twin.base}/api/${version}/sessionResults/?testId=1`)).status, 200)
  }
})

test('the eleventh call within a minute is rejected with a retry delay', async () => {
  const { clientId, clientSecret } = await twin.client()
  const client = new Client(provider('usertesting', { loopback: twin.base }), { clientId, clientSecret })
  const source = client.clientCredentials({ scope: ['studies:read'] })
  const results = `${twin.base}/api/v2/sessionResults/?testId=1`
  for (let call = 0; call < 10; call += 1) assert.equal((await source.fetch(results)).status, 200)
  await assert.rejects(source.fetch(results), ({ code, advice, retryAfter, status }) => {
    assert.deepEqual([code, advice, status], ['resource.rate_limited', 'retry', 429])
    return retryAfter > 0 && retryAfter <= 60
  })
})

test('an expired token is requested again once', async () => {
  const { clientId, clientSecret } = await twin.client()
  const client = new Client(provider('usertesting', { loopback: twin.base }), { clientId, clientSecret })
  const source = client.clientCredentials({ scope: 'studies:read' })
  await source.token()
  await twin.advance(3601)
  const requests = await twin.tokenRequests(async () => {
    assert.equal((await source.fetch(`${twin.base}/api/v2/sessionResults/?testId=1`)).status, 200)
  })
  assert.equal(requests, 1)
})

test('an issuer with a path is discovered', async () => {
  const { issuer } = await twin.client()
  const server = await discover(issuer, { transport: 'loopback_http' })
  assert.equal(server.issuer, issuer)
  assert.equal(server.metadata.token_endpoint, `${issuer}/v1/token`)
})

test('a token is introspected and revoked', async () => {
  const { clientId, clientSecret, issuer } = await twin.client()
  const server = await discover(issuer, { transport: 'loopback_http' })
  const client = new Client(server, { clientId, clientSecret, clientAuth: 'client_secret_post' })
  const tokens = await client.clientCredentials({ scope: 'studies:read' }).token()
  assert.equal((await client.introspect({ token: tokens.accessToken })).active, true)
  await client.revoke({ token: tokens.accessToken })
  assert.equal((await client.introspect({ token: tokens.accessToken })).active, false)
})

test('an app gets a token for a user without its secret in the URL', async () => {
  const { clientId, clientSecret, issuer, redirectUris } = await portal.client()
  const guid = issuer.split('/').at(-1)
  const server = provider('usertesting-apps', { variables: { guid }, loopback: portal.base })
  const client = new Client(server, { clientId, clientSecret, redirectUris })
  const [redirectUri] = redirectUris
  const { url, flow } = client.authorize({ redirectUri, scope: 'clips:read studies:read' })
  assert.equal(url.searchParams.has('client_secret'), false)
  const tokens = await client.redeem(flow, await followToCallback(url, redirectUri))
  assert.deepEqual(tokens.scope, ['clips:read', 'studies:read'])
  assert.equal((await portal.counters()).secrets_in_url, 0)
})

test('an app with an expired token requires another login', async () => {
  const { clientId, clientSecret, issuer, redirectUris } = await portal.client()
  const server = provider('usertesting-apps', { variables: { guid: issuer.split('/').at(-1) }, loopback: portal.base })
  const client = new Client(server, { clientId, clientSecret, redirectUris })
  const [redirectUri] = redirectUris
  const { url, flow } = client.authorize({ redirectUri, scope: 'studies:read' })
  const source = client.source(await client.redeem(flow, await followToCallback(url, redirectUri)))
  const results = `${portal.base}/api/v2/sessionResults/?testId=1`
  assert.equal((await source.fetch(results)).status, 200)
  await portal.advance(3601)
  await assert.rejects(source.fetch(results), { code: 'grant.no_refresh_token', advice: 'reauthorize' })
})

test('an unregistered redirect URI is rejected before the redirect', async () => {
  const { clientId, clientSecret, issuer, redirectUris } = await portal.client()
  const server = provider('usertesting-apps', { variables: { guid: issuer.split('/').at(-1) }, loopback: portal.base })
  const options = { redirectUri: `${redirectUris[0]}/`, scope: 'clips:read' }
  for (const registered of [redirectUris, undefined]) {
    const client = new Client(server, { clientId, clientSecret, redirectUris: registered })
    assert.throws(() => client.authorize(options), (error) => {
      return error instanceof MisuseError && error.code === 'redirect_uri.not_registered'
    })
  }
  const client = new Client(server, { clientId, clientSecret, redirectUris })
  const secret = { ...options, redirectUri: redirectUris[0], extra: { client_secret: clientSecret } }
  assert.throws(() => client.authorize(secret), { code: /^form\./ })
})
