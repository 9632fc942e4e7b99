// UserVoice: no token_type, no lifetime; the end of a token shows in a 401 alone.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { followToCallback, core, twins } from './helper.mjs'

const { Client, provider } = core
const twin = (await twins()).uservoice
const { clientId, clientSecret, publicClientId, redirectUris } = await twin.client()
const [redirectUri] = redirectUris
const preset = { variables: { subdomain: 'acme' }, loopback: twin.base }
const trusted = new Client(provider('uservoice', preset), { clientId, clientSecret })
const suggestions = `${twin.base}/api/v2/admin/suggestions`

test('a trusted client acts as the account owner', async () => {
  const source = trusted.clientCredentials()
  const tokens = await source.token()
  assert.equal(tokens.expiresIn, undefined)
  assert.equal(tokens.expiresAt, undefined)
  assert.equal(tokens.refreshToken, undefined)
  assert.equal((await source.fetch(suggestions)).status, 200)
})

test('a 401 is answered with a new token, once', async () => {
  const source = trusted.clientCredentials()
  const first = await source.token()
  await twin.expire()
  const requests = await twin.tokenRequests(async () => {
    assert.equal((await source.fetch(suggestions)).status, 200)
  })
  assert.equal(requests, 1)
  assert.notEqual((await source.token()).accessToken, first.accessToken)
})

test('fifty callers whose token has died share one new one', async () => {
  const source = trusted.clientCredentials()
  await source.token()
  await twin.expire()
  const requests = await twin.tokenRequests(async () => {
    const replies = await Promise.all(Array.from({ length: 50 }, () => source.fetch(suggestions)))
    assert.ok(replies.every((reply) => reply.status === 200))
  })
  assert.equal(requests, 1)
})

test('a body that streams is not sent twice: the 401 comes back', async () => {
  const source = trusted.clientCredentials()
  await source.token()
  await twin.expire()
  const body = new Blob(['{}']).stream()
  assert.equal((await source.fetch(suggestions, { method: 'POST', body })).status, 401)
  assert.equal((await source.fetch(suggestions)).status, 200)
})

test('a public client redeems a code with PKCE', async () => {
  const client = new Client(provider('uservoice', preset), { clientId: publicClientId, redirectUris })
  const { url, flow } = client.authorize({ redirectUri })
  assert.equal(url.searchParams.get('code_challenge_method'), 'S256')
  assert.equal(url.searchParams.has('code_verifier'), false)
  const tokens = await client.redeem(flow, await followToCallback(url, redirectUri))
  assert.equal((await client.source(tokens).fetch(`${twin.base}/api/v2/end_users/me`)).status, 200)
})

test('the documented slip is behind an option', async () => {
  const server = provider('uservoice', { ...preset, options: ['challenge_as_verifier'] })
  const client = new Client(server, { clientId: publicClientId, redirectUris })
  const { url, flow } = client.authorize({ redirectUri })
  assert.equal(url.searchParams.get('code_verifier'), url.searchParams.get('code_challenge'))
  assert.ok((await client.redeem(flow, await followToCallback(url, redirectUri))).accessToken)
})

test('a tenant is one label of a host name', () => {
  for (const subdomain of ['evil.example/', 'a.b', '', '-a']) {
    assert.throws(() => provider('uservoice', { variables: { subdomain } }), { code: 'provider.variable' })
  }
  assert.equal(provider('uservoice', { variables: { subdomain: 'acme' } }).issuer, 'https://acme.uservoice.com')
})
