// Tokens that are renewed with the access token itself, as a preset describes it.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { followToCallback, core, rejection, twins } from './helper.mjs'

const { Client, Tokens, provider, providerFile, providers } = core
const { generic: twin } = await twins()
const { clientId, clientSecret } = await twin.client()
await twin.withholdRefreshTokens()

const PRESET = `
name = "renews"
title = "A server that renews access tokens with themselves"
issuer = "https://as.example"
client_auth = "post"
grants = ["authorization_code"]
api = ["https://as.example/api"]

[endpoints]
authorization_endpoint = "https://as.example/authorize"
token_endpoint = "https://as.example/token"

[[renewals]]
endpoint = "https://as.example/access_token"
grant_type = "exchange_token"
token_parameter = "short_lived_token"
authenticated = true
shorter_than = 86400

[[renewals]]
endpoint = "https://as.example/refresh_access_token"
grant_type = "refresh_token"
token_parameter = "access_token"
earliest_age = 86400
`
const server = providerFile(PRESET, { loopback: twin.base })
const client = new Client(server, { clientId, clientSecret })
const redirectUri = 'https://app.example/callback'

async function login() {
  const { url, flow } = client.authorize({ redirectUri, scope: 'read' })
  return client.redeem(flow, await followToCallback(url, redirectUri))
}

/** Waits until the condition is true, at most until the timeout of the test runner. */
async function until(isSo) {
  while (!(await isSo())) await sleep(5)
}

test('a short-lived token is exchanged in the background and used meanwhile', async () => {
  const short = await login()
  const source = client.source(short)
  const before = (await twin.counters()).renewals
  assert.equal((await source.fetch(`${twin.base}/api/echo`)).status, 200)
  await until(async () => (await source.token()).expiresIn > 86_400)
  assert.equal((await source.fetch(`${twin.base}/api/echo`)).status, 200)
  assert.notEqual((await source.token()).accessToken, short.accessToken)
  assert.equal((await twin.counters()).renewals - before, 1)
})

test('an expired grant without a refresh token is not renewed', async () => {
  const stored = JSON.parse((await login()).serialize())
  stored.received_at -= 10_000
  stored.refresh_token_use_by -= 10_000
  const source = client.source(Tokens.deserialize(JSON.stringify(stored)))
  const before = (await twin.counters()).renewals
  const error = await rejection(source.token())
  assert.deepEqual([error.code, error.advice], ['grant.no_refresh_token', 'reauthorize'])
  assert.equal((await twin.counters()).renewals, before)
})

test('the presets of Meta renew with the access token', () => {
  for (const name of ['facebook', 'instagram', 'threads']) {
    assert.ok(providers().includes(name))
    assert.ok(provider(name))
  }
})
