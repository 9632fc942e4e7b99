// npm's oidc-provider: a certified server that this project did not write.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { browse, followToCallback, core, oidcProvider } from './helper.mjs'

const { Client, PendingAuthorization, Tokens, clientSecretJwt, discover, login, privateKeyJwt } = core
const { issuer, clients } = await oidcProvider()
const server = await discover(issuer, { transport: 'loopback_http' })
const redirectUri = 'http://127.0.0.1:45678/callback'

const methods = { basic: 'client_secret_basic', post: 'client_secret_post', native: 'none' }
function client(which, options) {
  const { client_id: clientId, client_secret: clientSecret } = clients[which]
  return new Client(server, { clientId, clientSecret, clientAuth: methods[which], ...options })
}

/** A client that signs with this algorithm, and whose ID tokens are signed with it. */
function signing(name) {
  const { client_id: clientId, client_secret: secret, private_key: key } = clients[name]
  const alg = name.split('-')[1]
  const clientAuth = key ? privateKeyJwt(key, { alg, kid: 'theirs' }) : clientSecretJwt(secret, { alg })
  return new Client(server, { clientId, clientAuth, idTokenSignedResponseAlg: alg })
}

async function signIn(client) {
  const { url, flow } = client.authorize({ redirectUri, scope: 'openid read' })
  // As a web server would: the flow waits in a session, as text.
  const stored = flow.serialize()
  const callback = await followToCallback(url, redirectUri)
  return client.redeem(PendingAuthorization.deserialize(stored), callback)
}

test('discovery returns the endpoints', () => {
  assert.equal(server.issuer, issuer)
  for (const name of ['token', 'authorization', 'revocation', 'introspection']) {
    assert.ok(server.metadata[`${name}_endpoint`].startsWith(issuer), name)
  }
})

for (const which of ['basic', 'post']) {
  test(`client credentials with special characters are accepted: ${which}`, async () => {
    const ownClient = client(which)
    const tokens = await ownClient.clientCredentials({ scope: 'read' }).token()
    assert.deepEqual(tokens.scope, ['read'])
    const introspection = await ownClient.introspect({ token: tokens.accessToken })
    assert.equal(introspection.active, true)
    assert.equal(introspection.clientId, clients[which].client_id)
  })
}

for (const name of Object.keys(clients).filter((name) => /^(key|secret)-/.test(name))) {
  test(`a client authenticates with signed assertions and verifies signed ID tokens: ${name}`, async () => {
    const ownClient = signing(name)
    const { accessToken } = await ownClient.clientCredentials({ scope: 'read' }).token()
    assert.equal((await ownClient.introspect({ token: accessToken })).active, true)
    assert.equal((await signIn(ownClient)).claims.sub, 'somebody')
  })
}

test('an assertion signed with the key of another client is rejected', async () => {
  const clientAuth = privateKeyJwt(clients['key-EdDSA'].private_key, { kid: 'theirs' })
  const client = new Client(server, { clientId: 'key-ES256', clientAuth })
  await assert.rejects(client.clientCredentials().token(), { code: 'denied.invalid_client' })
})

for (const which of ['native', 'basic', 'post']) {
  test(`a code is redeemed with PKCE, and refresh tokens rotate: ${which}`, async () => {
    const ownClient = client(which)
    const first = await signIn(ownClient)
    assert.deepEqual(first.scope, ['openid', 'read'])
    assert.ok(first.idToken)
    assert.equal(first.claims.iss, issuer)
    assert.ok(first.claims.sub)
    assert.equal(first.issuer, issuer)
    const second = await ownClient.refresh({ tokens: first })
    assert.notEqual(second.refreshToken, first.refreshToken)
    assert.notEqual(second.accessToken, first.accessToken)
    await assert.rejects(ownClient.refresh({ tokens: first }), { code: 'denied.invalid_grant', advice: 'reauthorize' })
    await assert.rejects(ownClient.refresh({ tokens: second }), { code: 'denied.invalid_grant' })
  })
}

test('a source stores renewed tokens of a user before returning them', async () => {
  const ownClient = client('basic')
  const first = await signIn(ownClient)
  const stored = []
  const source = ownClient.source(Tokens.deserialize(first.serialize()), { onTokens: (tokens) => stored.push(tokens) })
  assert.equal((await source.token()).accessToken, first.accessToken)
  const renewed = await source.renew(first)
  assert.deepEqual(stored, [renewed])
  assert.notEqual(renewed.refreshToken, first.refreshToken)
})

test('after the server ends a grant, no further request is sent', async () => {
  const ownClient = client('basic')
  const tokens = await signIn(ownClient)
  await ownClient.revoke({ token: tokens.refreshToken, tokenTypeHint: 'refresh_token' })
  const source = ownClient.source(tokens)
  const errors = await Promise.all([source.renew(tokens), source.renew(tokens)].map((each) => each.catch((error) => error)))
  assert.deepEqual(errors.map((error) => error.code), ['denied.invalid_grant', 'denied.invalid_grant'])
  await assert.rejects(source.token(), { code: 'denied.invalid_grant' })
})

test('an access token can be revoked, and revoking an unknown token succeeds', async () => {
  const ownClient = client('basic')
  const tokens = await signIn(ownClient)
  await ownClient.revoke({ token: tokens.accessToken })
  assert.equal((await ownClient.introspect({ token: tokens.accessToken, tokenTypeHint: 'access_token' })).active, false)
  await ownClient.revoke({ token: 'never-issued' })
})

test('a wrong client secret is reported as invalid_client and not shown', async () => {
  const ownClient = client('basic', { clientSecret: 'wrong: +%/' })
  const error = await ownClient.clientCredentials().token().catch((error) => error)
  assert.equal(error.code, 'denied.invalid_client')
  assert.equal(error.status, 401)
  assert.ok(!String(error).includes('wrong: +%/'))
})

test('a native app logs in through the system browser', async () => {
  const ownClient = client('native')
  let opened
  const tokens = await login(ownClient, {
    scope: 'openid read',
    timeoutMs: 30_000,
    open: (url) => {
      opened = url
      // The callback answers this program's own listener.
      browse(url, (currentUrl) => !currentUrl.href.startsWith(issuer)).then((home) => fetch(home)).catch(() => {})
    },
  })
  assert.match(opened.searchParams.get('redirect_uri'), /^http:\/\/127\.0\.0\.1:\d+\/callback$/)
  assert.ok(tokens.accessToken)
})

test('a login without a callback times out', async () => {
  const open = () => {}
  await assert.rejects(login(client('native'), { open, timeoutMs: 50 }), { code: 'lost.no_callback', kind: 'lost' })
  const signal = AbortSignal.timeout(50)
  await assert.rejects(login(client('native'), { open, signal }), { name: 'TimeoutError' })
})
