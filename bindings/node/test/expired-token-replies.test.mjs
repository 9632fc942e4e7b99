// APIs that report an expired token in their own way: the token is renewed once, and other response bodies are left unread.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { core, listen, rejection, twins } from './helper.mjs'

const { Client, MisuseError, fixedToken, providerFile } = core
const { generic: twin } = await twins()
const { clientId, clientSecret } = await twin.client()
const echo = `${twin.base}/api/echo`

const FILE = `
name = "ruled"
title = "An API that reports an expired token in its body"
issuer = "https://as.example"
client_auth = "basic"
grants = ["client_credentials"]
api = ["https://as.example/api"]
expired_token_replies = [{ status = 200, body = { ok = [false], error = ["token_expired"] } }]

[endpoints]
token_endpoint = "https://as.example/token"
`
const server = providerFile(FILE, { loopback: twin.base })
const client = new Client(server, { clientId, clientSecret })

test('a token reported as expired in the body is renewed once', async () => {
  const source = client.clientCredentials({ scope: 'read write' })
  assert.equal((await (await source.fetch(echo)).json()).method, 'GET')
  await twin.expire()
  await twin.fault('ended_token_in_body')
  const tokenRequestCount = await twin.tokenRequests(async () => {
    const reply = await source.fetch(echo, { method: 'POST', body: 'again' })
    assert.equal((await reply.json()).body, 'again')
  })
  assert.equal(tokenRequestCount, 1)
})

test('custom rules recognize an expired token, and other replies are returned unread', async () => {
  const source = client.clientCredentials({ scope: 'read write' })
  const expiredTokenReplies = [{ status: 403, body: { 'error.code': [190, 'expired'] } }, { status: 404 }]
  const api = source.api({ expiredTokenReplies })
  assert.equal((await api.fetch(echo)).status, 200)
  for (const fault of [{ status: 403, body: '{"error":{"code":190}}' }, { status: 404 }]) {
    await twin.expire()
    await twin.fault('ended_token_in_body', fault)
    assert.equal(await twin.tokenRequests(async () => assert.equal((await api.fetch(echo)).status, 200)), 1)
  }
  // A reply that matches no rule is returned with its body.
  await twin.expire()
  await twin.fault('ended_token_in_body', { status: 403, body: '{"error":{"code":4}}' })
  const reply = await api.fetch(echo)
  assert.deepEqual([reply.status, await reply.json()], [403, { error: { code: 4 } }])
  for (const wrong of [[{ status: 200 }], [{ status: 403, body: { a: 1 } }], [403]]) {
    assert.throws(() => source.api({ expiredTokenReplies: wrong }), (error) => {
      assert.ok(error instanceof MisuseError)
      assert.equal(error.code, 'misuse.setup')
      return true
    })
  }
})

test('a tee of the reply body that is never read does not block the renewal', async () => {
  const source = client.clientCredentials({ scope: 'read write' })
  // As React does it, so that two components ask once.
  const retained = []
  const copying = async (input, init) => {
    const reply = await fetch(input, init)
    const [one, other] = reply.body.tee()
    retained.push(other)
    return new Response(one, reply)
  }
  const api = source.api({ fetch: copying })
  assert.equal((await (await api.fetch(echo)).json()).method, 'GET')
  await twin.expire()
  assert.equal((await (await api.fetch(echo, { signal: AbortSignal.timeout(20_000) })).json()).method, 'GET')
  assert.equal(retained.length, 3)
})

test('a body too long to inspect is returned whole', async () => {
  const body = JSON.stringify({ ok: false, padding: 'x'.repeat(300_000) })
  const base = await listen((_, reply) => reply.setHeader('content-type', 'application/json').end(body))
  const token = fixedToken('t', { origins: [base], transport: 'loopback_http' })
  const api = token.api({ expiredTokenReplies: [{ status: 200, body: { ok: [false] } }] })
  assert.equal(await (await api.fetch(base)).text(), body)
  // A short body is inspected, and a fixed token cannot be renewed.
  const short = await listen((_, reply) => reply.setHeader('content-type', 'application/json').end('{"ok":false}'))
  const other = fixedToken('t', { origins: [short], transport: 'loopback_http' })
  const error = await rejection(other.api({ expiredTokenReplies: [{ status: 200, body: { ok: [false] } }] }).fetch(short))
  assert.equal(error.code, 'grant.revoked')
})
