// Tokens that are bound, against npm's oidc-provider: over a restart, and to a certificate.
import assert from 'node:assert/strict'
import { X509Certificate, createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { get } from 'node:https'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { Browser, core, fapiProvider, oidcProvider, root } from './helper.mjs'

const { Client, DpopKey, FileStore, Network, Server, discover, privateKeyJwt } = core
const redirectUri = 'http://127.0.0.1/callback'
const tls = JSON.parse(readFileSync(path.join(root, 'tests/interop/oidc-provider/tls.json')))

/** Key, tokens and nonces are stored: nothing else is left of the first process. */
test('a DPoP-bound grant is renewed after a restart', async (t) => {
  const folder = mkdtempSync(path.join(tmpdir(), 'bound-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const { issuer, clients } = await fapiProvider({ ACCESS_TOKEN_SECONDS: '3' })
  const clientAuth = privateKeyJwt(clients.security.private_key, { alg: 'ES256' })
  const started = async () => {
    const store = new FileStore(folder)
    const server = await discover(issuer, { transport: 'loopback_http' })
    const dpopKey = await DpopKey.open(store, 'bank')
    const client = new Client(server, { clientId: 'security', clientAuth, dpopKey, profile: 'fapi2_security' })
    return { client, source: client.source(undefined, { store, subject: 'ann', origins: [issuer] }) }
  }
  const counters = async () => (await fetch(`${issuer}/_counters`)).json()
  const fetchSubject = async (source) => (await (await source.fetch(`${issuer}/me`)).json()).sub

  const { client, source } = await started()
  const { url, flow } = await client.beginAuthorization({ redirectUri, scope: 'openid offline_access' })
  const callback = (await new Browser(({ href }) => href.startsWith(redirectUri)).open(url)).url
  await source.logIn(await client.redeem(flow, callback))
  assert.equal(await fetchSubject(source), 'somebody')
  await new Promise((wake) => setTimeout(wake, 3100))
  const before = await counters()
  const { source: second } = await started()
  assert.equal(await fetchSubject(second), 'somebody')
  const after = await counters()
  // The first renewal already has a nonce: a request without one might consume the refresh token.
  assert.equal(after.refreshes, before.refreshes + 1)
  assert.equal(after.use_dpop_nonce, before.use_dpop_nonce)
  assert.equal(after.refused, 0)

  // What the API has said is stored with the next tokens, and known to the next process.
  await new Promise((wake) => setTimeout(wake, 3100))
  assert.equal(await fetchSubject(second), 'somebody')
  const { use_dpop_nonce_at_api: nonceChallenges } = await counters()
  assert.equal(await fetchSubject((await started()).source), 'somebody')
  assert.equal((await counters()).use_dpop_nonce_at_api, nonceChallenges)
  assert.ok(nonceChallenges > 0)
})

test('client credentials tokens are bound to the client certificate', async () => {
  const { issuer } = await oidcProvider({ TLS: JSON.stringify(tls) })
  const shown = new Network({ onlyCa: tls.ca, clientCertificate: tls.client, clientKey: tls.client_key })
  const withoutCertificate = new Network({ onlyCa: tls.ca })
  const server = await discover(issuer, { network: shown })
  const { raw } = new X509Certificate(tls.client)
  const thumbprint = createHash('sha256').update(raw).digest('base64url')
  for (const [clientId, clientAuth] of [
    ['tls-pki', 'tls_client_auth'],
    ['tls-self-signed', 'self_signed_tls_client_auth'],
  ]) {
    const bound = { clientId, clientAuth, tlsClientCertificateBoundAccessTokens: true }
    const client = new Client(server, { ...bound, network: shown })
    const { accessToken: token } = await client.clientCredentials({ scope: 'read' }).token()
    const state = await client.introspect({ token })
    assert.deepEqual([state.active, state.extra.cnf], [true, { 'x5t#S256': thumbprint }])
    await client.revoke({ token })
    // Nobody else gets one: the alias asks for the certificate.
    const other = new Client(server, { ...bound, network: withoutCertificate })
    await assert.rejects(other.clientCredentials({ scope: 'read' }).token(), { kind: 'lost' })
  }
})

/** GET of a server whose certificate is of this test's authority, and which is shown none. */
const trusting = (url, { headers }) => new Promise((done, failed) => {
  get(url, { ca: tls.ca, headers }, async (reply) => {
    const body = Buffer.concat(await reply.toArray())
    done(new Response(body, { status: reply.statusCode, headers: pairs(reply.rawHeaders) }))
  }).once('error', failed)
})

const pairs = ([name, value, ...more]) => (name === undefined ? [] : [[name, value], ...pairs(more)])

/** RFC 8705 section 3: UserInfo takes the token over a connection that shows the certificate, and over no other. */
test('a bound token is accepted only with its certificate', async () => {
  const { issuer, clients } = await oidcProvider({ TLS: JSON.stringify(tls) })
  const ours = new Network({ onlyCa: tls.ca, clientCertificate: tls.client, clientKey: tls.client_key })
  // The server's own is of the same authority, and another.
  const networkWithCertificate = new Network({ onlyCa: tls.ca, clientCertificate: tls.cert, clientKey: tls.key })
  const server = await discover(issuer, { network: ours })
  for (const [clientId, auth] of [
    ['tls-pki', { clientAuth: 'tls_client_auth' }],
    ['tls-bound', { clientSecret: clients['tls-bound'].client_secret }],
  ]) {
    const bound = { clientId, ...auth, tlsClientCertificateBoundAccessTokens: true }
    const client = new Client(server, { ...bound, network: ours })
    const other = new Client(server, { ...bound, network: networkWithCertificate })
    const { url, flow } = client.authorize({ redirectUri, scope: 'openid' })
    const callback = (await new Browser(({ href }) => href.startsWith(redirectUri), trusting).open(url)).url
    const login = await client.redeem(flow, callback)
    const renewed = await client.refresh({ tokens: login })
    assert.notEqual(renewed.accessToken, login.accessToken)
    for (const tokens of [login, renewed]) {
      const args = { tokens, subject: 'somebody' }
      assert.equal((await client.userinfo(args)).subject, 'somebody')
      await assert.rejects(other.userinfo(args), { code: 'denied.invalid_token' })
      // Without a request for a client certificate, none is presented.
      const without = await trusting(`${issuer}/me`, { headers: { authorization: `Bearer ${tokens.accessToken}` } })
      assert.equal(without.status, 401)
    }
  }
})

/** The vectors of `htu` that the core reads from nobody: `URL` has made them plain before (RFC 9449 section 4.2). */
test('a proof contains the URL as normalized by fetch', async () => {
  const named = []
  const claims = (proof) => JSON.parse(Buffer.from(proof.split('.')[1], 'base64url'))
  const fetch = async (url, { headers }) => {
    const proof = new Headers(headers).get('dpop')
    if (String(url).startsWith('https://as.example/')) {
      return Response.json({ access_token: 'a', token_type: 'DPoP', expires_in: 600 })
    }
    named.push(claims(proof).htu)
    return new Response('{}')
  }
  const server = Server.fromMetadata('https://as.example', { issuer: 'https://as.example', token_endpoint: 'https://as.example/token' })
  const client = new Client(server, { clientId: 'id', clientSecret: 's'.repeat(32), dpopKey: await DpopKey.generate(), fetch })
  for (const [url, htu] of [
    ['https://server.example.com/a/../b', 'https://server.example.com/b'],
    ['https://b\u00fccher.example/x', 'https://xn--bcher-kva.example/x'],
    ['https://SERVER.example.com:443/Token?a=b#c', 'https://server.example.com/Token'],
    ['https://server.example.com', 'https://server.example.com/'],
  ]) {
    const source = client.clientCredentials({ origins: [new URL(htu).origin] })
    assert.equal((await source.fetch(url)).status, 200)
    assert.equal(named.pop(), htu)
  }
})
