// Socios.com: unencoded Basic for the application, credentials in the body for a user's code.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { followToCallback, core, twins } from './helper.mjs'

const { Client, DeniedError, provider } = core
const twin = (await twins()).socios
const { clientId, clientSecret, redirectUris } = await twin.client()
const [redirectUri] = redirectUris
const server = provider('socios', { loopback: twin.base })
const client = new Client(server, { clientId, clientSecret, redirectUris })

async function connect() {
  const { url, flow } = client.authorize({ redirectUri, extra: { partner_tag: 'acme', campaign: 'spring' } })
  return client.redeem(flow, await followToCallback(url, redirectUri))
}

test('the application gets a token with unencoded Basic', async () => {
  const tokens = await client.clientCredentials().token()
  assert.equal(tokens.tokenType, 'Bearer')
  assert.equal(tokens.expiresIn, 7200)
  assert.ok(tokens.expiresAt > new Date())
})

test('a public route accepts the token of the application', async () => {
  const reply = await client.clientCredentials().fetch(`${twin.base}/polls/1.0.0/polls`)
  assert.equal(reply.status, 200)
  assert.equal(typeof await reply.json(), 'object')
})

test('a user connects with Socios.com and calls the user routes', async () => {
  const tokens = await connect()
  assert.ok(tokens.refreshToken)
  const source = client.source(tokens)
  assert.equal((await source.fetch(`${twin.base}/wallet/1.0.0/user/wallet`)).status, 200)
  assert.equal((await source.fetch(`${twin.base}/user/polls`)).status, 200)
  const vote = await source.fetch(`${twin.base}/user/poll/7/vote`, { method: 'POST', body: '{}' })
  assert.equal(vote.ok, true)
})

test('the authorization URL contains the partner tag and no secret', async () => {
  const { url } = client.authorize({ redirectUri, extra: { partner_tag: 'acme' } })
  assert.equal(url.searchParams.get('partner_tag'), 'acme')
  assert.ok(!url.href.includes(encodeURIComponent(clientSecret)))
  assert.equal((await twin.counters()).secrets_in_url, 0)
})

test('a refresh rotates the refresh token, and reusing an old one ends the grant', async () => {
  const first = await connect()
  const second = await client.refresh({ tokens: first })
  assert.notEqual(second.refreshToken, first.refreshToken)
  const error = await client.refresh({ tokens: first }).catch((error) => error)
  assert.ok(error instanceof DeniedError)
  assert.equal(error.code, 'denied.invalid_grant')
  assert.equal(error.advice, 'reauthorize')
  assert.equal(error.error, 'invalid_grant')
  assert.equal(error.endpoint, 'token')
})

test('expired tokens of the application and the user are renewed, with rotation', async () => {
  const api = server.api({ app: client.clientCredentials(), user: client.source(await connect()) })
  const both = async () => {
    for (const route of ['polls/1.0.0/polls', 'user/polls']) assert.equal((await api.fetch(`${twin.base}/${route}`)).status, 200)
  }
  await both()
  await twin.advance(7201)
  const before = await twin.counters()
  await both()
  const after = await twin.counters()
  assert.equal(after.token_requests - before.token_requests, 2)
  assert.equal(after.refreshes - before.refreshes, 1)
  assert.equal(after.reuse_events, before.reuse_events)
})

test('after a revocation the user must log in again, but the application need not', async () => {
  const tokens = await connect()
  const api = server.api({ app: client.clientCredentials(), user: client.source(tokens) })
  await client.revoke({ token: tokens.refreshToken, tokenTypeHint: 'refresh_token' })
  const error = await api.fetch(`${twin.base}/user/polls`).catch((error) => error)
  assert.deepEqual([error.code, error.advice], ['denied.invalid_grant', 'reauthorize'])
  assert.equal((await api.fetch(`${twin.base}/polls/1.0.0/polls`)).status, 200)
})

test('revocation succeeds for known and unknown tokens', async () => {
  const tokens = await connect()
  assert.equal(await client.revoke({ token: tokens.accessToken, tokenTypeHint: 'access_token' }), undefined)
  await client.revoke({ token: 'never-issued' })
})

test('a denial by the user is reported', async () => {
  await twin.deny()
  const { url, flow } = client.authorize({ redirectUri })
  const callback = await followToCallback(url, redirectUri)
  await assert.rejects(client.redeem(flow, callback), { code: 'denied.access_denied', kind: 'denied' })
})
