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

test('a trusted client gets tokens without an expiration time', async () => {
  const source = trusted.clientCredentials()
  const tokens = await source.token()
  assert.equal(tokens.expiresIn, undefined)
  assert.equal(tokens.expiresAt, undefined)
  assert.equal(tokens.refreshToken, undefined)
  assert.equal((await source.fetch(suggestions)).status, 200)
})

test('a 401 is retried once with a new token', async () => {
  const source = trusted.clientCredentials()
  const first = await source.token()
  await twin.expire()
  const requests = await twin.tokenRequests(async () => {
    assert.equal((await source.fetch(suggestions)).status, 200)
  })
  assert.equal(requests, 1)
  assert.notEqual((await source.token()).accessToken, first.accessToken)
})

test('fifty callers that get a 401 share one new token', async () => {
  const source = trusted.clientCredentials()
  await source.token()
  await twin.expire()
  const requests = await twin.tokenRequests(async () => {
    const replies = await Promise.all(Array.from({ length: 50 }, () => source.fetch(suggestions)))
    assert.ok(replies.every((reply) => reply.status === 200))
  })
  assert.equal(requests, 1)
})

test('a streamed body is not resent after a 401', async () => {
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

test('the challenge_as_verifier option sends the verifier as documented', async () => {
  const server = provider('uservoice', { ...preset, options: ['challenge_as_verifier'] })
  const client = new Client(server, { clientId: publicClientId, redirectUris })
  const { url, flow } = client.authorize({ redirectUri })
  assert.equal(url.searchParams.get('code_verifier'), url.searchParams.get('code_challenge'))
  assert.ok((await client.redeem(flow, await followToCallback(url, redirectUri))).accessToken)
})

test('a subdomain must be one DNS label', () => {
  for (const subdomain of ['evil.example/', 'a.b', '', '-a']) {
    assert.throws(() => provider('uservoice', { variables: { subdomain } }), { code: 'provider.variable' })
  }
  assert.equal(provider('uservoice', { variables: { subdomain: 'acme' } }).issuer, 'https://acme.uservoice.com')
})
