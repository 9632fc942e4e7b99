// FAPI 2.0 requirements on clients, tested against npm's oidc-provider, and the contents of DPoP proofs.
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { createRequire } from 'node:module'
import path from 'node:path'
import { test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { inspect } from 'node:util'
import { Browser, core, fapiProvider, listen, rejection, root } from './helper.mjs'

// A tool of the tests, which the package does without.
const tools = createRequire(path.join(root, 'bindings/node/package.json'))
const { EmbeddedJWK, decodeJwt, jwtVerify } = await import(pathToFileURL(tools.resolve('jose')))

const { Client, DpopKey, PendingAuthorization, MemoryStore, SealedStore, Server, discover, privateKeyJwt, Tokens, stepUp } = core
const redirectUri = 'http://127.0.0.1/callback'
const isCallback = ({ href }) => href.startsWith(redirectUri)
const { issuer, clients } = await fapiProvider()
const server = await discover(issuer, { transport: 'loopback_http' })

function client(which, options) {
  const { client_id: clientId, private_key: key } = clients[which]
  return new Client(server, { clientId, clientAuth: privateKeyJwt(key, { alg: 'ES256' }), ...options })
}

const openToCallback = async (url) => (await new Browser(isCallback).open(url)).url

test('a FAPI 2.0 client logs in with pushed requests and gets DPoP-bound tokens', async () => {
  const dpopKey = await DpopKey.generate()
  for (const [which, profile] of [['security', 'fapi2_security'], ['signing', 'fapi2_message_signing']]) {
    const ownClient = client(which, { dpopKey, profile })
    const authorizeOptions = { redirectUri, scope: 'openid read' }
    assert.throws(() => ownClient.authorize(authorizeOptions), { code: 'authorization.push_required' })
    const { url, flow, expiresIn } = await ownClient.beginAuthorization(authorizeOptions)
    assert.deepEqual([...url.searchParams.keys()], ['client_id', 'request_uri'])
    assert.ok(expiresIn > 0)
    const tokens = await ownClient.redeem(PendingAuthorization.deserialize(flow.serialize()), await openToCallback(url))
    assert.equal(tokens.tokenType, 'DPoP')
    assert.equal((await ownClient.userinfo({ tokens, subject: 'somebody' })).subject, 'somebody')
    const renewed = await ownClient.refresh({ tokens })
    const source = ownClient.source(renewed, { origins: [issuer] })
    assert.equal((await (await source.fetch(`${issuer}/me`)).json()).sub, 'somebody')
    const other = new Client(server, { clientId: which, dpopKey: await DpopKey.generate() })
    await assert.rejects(other.userinfo({ tokens: renewed, subject: 'somebody' }), { kind: 'denied' })
  }
})

/** RFC 9126 section 5: the server's metadata requires it, and the client needs no option. */
test('an authorization request is pushed if the metadata requires it', async () => {
  const { issuer, clients } = await fapiProvider({ REQUIRE_PUSHED: 'yes' })
  const clientAuth = privateKeyJwt(clients.encrypted.private_key, { alg: 'ES256' })
  const client = new Client(await discover(issuer, { transport: 'loopback_http' }), { clientId: 'encrypted', clientAuth })
  const authorizeOptions = { redirectUri, scope: 'openid read' }
  assert.throws(() => client.authorize(authorizeOptions), { code: 'authorization.push_required' })
  const { url, flow } = await client.beginAuthorization(authorizeOptions)
  assert.deepEqual([...url.searchParams.keys()], ['client_id', 'request_uri'])
  assert.equal((await client.redeem(flow, await openToCallback(url))).claims.sub, 'somebody')
})

test('request objects and JARM responses are signed in each response mode', async () => {
  const ownClient = client('browser', { requestObjectSigningAlg: 'ES256' })
  for (const responseMode of [undefined, 'jwt', 'query.jwt', 'fragment.jwt']) {
    const { url, flow } = ownClient.authorize({ redirectUri, scope: 'openid read', responseMode })
    assert.equal(url.searchParams.has('state'), false)
    assert.equal((await ownClient.redeem(flow, await openToCallback(url))).claims.sub, 'somebody')
  }
  const encrypted = client('encrypted', {
    authorizationEncryptedResponseAlg: 'ECDH-ES',
    authorizationEncryptedResponseEnc: 'A256GCM',
    decryptionKeys: [JSON.stringify(clients.encrypted.decryption_key)],
  })
  const { url, flow } = encrypted.authorize({ redirectUri, scope: 'openid', responseMode: 'jwt' })
  const callback = await openToCallback(url)
  assert.equal(callback.searchParams.get('response').split('.').length, 5)
  assert.equal((await encrypted.redeem(flow, callback)).claims.sub, 'somebody')
})

test('a signed response is posted as form_post.jwt', async () => {
  const ownClient = client('browser', { requestObjectSigningAlg: 'ES256' })
  const { url, flow } = ownClient.authorize({ redirectUri, scope: 'openid read', responseMode: 'form_post.jwt' })
  const { page } = await new Browser(isCallback).open(url)
  const [, response] = page.match(/name="response" value="([^"]*)"/)
  assert.equal(response.split('.').length, 3)
  assert.equal((await ownClient.redeem(flow, `response=${response}`)).claims.sub, 'somebody')
})

test('request objects are encrypted to the server', async () => {
  const signed = { requestObjectSigningAlg: 'ES256' }
  const hidden = { ...signed, requestObjectEncryptionAlg: 'ECDH-ES+A256KW', requestObjectEncryptionEnc: 'A256GCM' }
  const ownClient = client('secretive', hidden)
  for (const push of ['where_required', 'always']) {
    const { url, flow } = await ownClient.beginAuthorization({ redirectUri, scope: 'openid', push })
    assert.equal(url.searchParams.get('request')?.split('.').length ?? 5, 5)
    assert.equal((await ownClient.redeem(flow, await openToCallback(url))).claims.sub, 'somebody')
  }
  assert.throws(() => client('secretive', { ...signed, requestObjectEncryptionAlg: 'dir' }), { code: 'key.algorithm' })
  const unknown = client('secretive', { ...signed, requestObjectEncryptionAlg: 'RSA-OAEP-256' })
  await assert.rejects(unknown.beginAuthorization({ redirectUri }), { code: 'key.algorithm' })
})

test('fifty concurrent callers of a bound grant share one renewal', async () => {
  const { issuer, clients } = await fapiProvider({ ACCESS_TOKEN_SECONDS: '1' })
  const server = await discover(issuer, { transport: 'loopback_http' })
  const clientAuth = privateKeyJwt(clients.security.private_key, { alg: 'ES256' })
  const client = new Client(server, { clientId: 'security', clientAuth, dpopKey: await DpopKey.generate() })
  const { url, flow } = await client.beginAuthorization({ redirectUri, scope: 'openid' , push: 'always' })
  const source = client.source(await client.redeem(flow, await openToCallback(url)))
  await new Promise((wake) => setTimeout(wake, 1100))
  const tokens = await Promise.all(Array.from({ length: 50 }, () => source.token()))
  assert.equal(new Set(tokens.map(({ accessToken }) => accessToken)).size, 1)
  const counters = await (await fetch(`${issuer}/_counters`)).json()
  assert.equal(counters.refreshes, 1)
})

/** A token endpoint and an API that record the proofs, and each require a nonce. */
async function proving() {
  const seen = []
  const base = await listen(async (request, response) => {
    const { payload, protectedHeader } = await jwtVerify(request.headers.dpop, EmbeddedJWK, { typ: 'dpop+jwt' })
    const { method, url, headers } = request
    seen.push({ method, path: url, header: protectedHeader, claims: payload, authorization: headers.authorization })
    const isToken = url === '/token'
    const json = (status, body, more) => response
      .writeHead(status, { 'content-type': 'application/json', ...more }).end(JSON.stringify(body))
    if (payload.nonce === undefined) {
      const nonce = { 'dpop-nonce': isToken ? 'for-tokens' : 'for-the-api' }
      const challenge = isToken ? {} : { 'www-authenticate': 'DPoP error="use_dpop_nonce", algs="ES256"' }
      return json(isToken ? 400 : 401, { error: 'use_dpop_nonce' }, { ...nonce, ...challenge })
    }
    return isToken
      ? json(200, { access_token: 'a~t', token_type: 'dpop', expires_in: 600 })
      : json(200, { well: true })
  })
  const dpopKey = await DpopKey.generate()
  const place = Server.fromMetadata(base, { issuer: base, token_endpoint: `${base}/token` }, { transport: 'loopback_http' })
  const client = new Client(place, { clientId: 'id', clientSecret: 's'.repeat(32), dpopKey })
  return { base, seen, dpopKey, source: client.clientCredentials({ origins: [base] }) }
}

test('a DPoP proof has the header and claims of RFC 9449', async () => {
  const { base, seen, dpopKey, source } = await proving()
  assert.deepEqual(await (await source.fetch(`${base}/things?a=b#c`)).json(), { well: true })
  assert.deepEqual(await (await source.fetch(`${base}/things`, { method: 'POST', body: 'x' })).json(), { well: true })
  assert.deepEqual(seen.map(({ method, path, claims }) => [method, path.split('?')[0], claims.nonce]), [
    ['POST', '/token', undefined],
    ['POST', '/token', 'for-tokens'],
    ['GET', '/things', undefined],
    ['GET', '/things', 'for-the-api'],
    ['POST', '/things', 'for-the-api'],
  ])
  const ath = createHash('sha256').update('a~t').digest('base64url')
  for (const { method, path, header, claims } of seen) {
    assert.deepEqual(Object.keys(header).sort(), ['alg', 'jwk', 'typ'])
    assert.deepEqual(header.jwk, dpopKey.publicJwk())
    assert.equal('d' in header.jwk, false)
    assert.equal(claims.htm, method)
    assert.equal(claims.htu, base + path.split('?')[0])
    assert.equal(claims.ath, path === '/token' ? undefined : ath)
  }
  assert.equal(new Set(seen.map(({ claims }) => claims.jti)).size, seen.length)
  assert.deepEqual(new Set(seen.slice(2).map(({ authorization }) => authorization)), new Set(['DPoP a~t']))
})

test('a streamed body is not resent for a nonce', async () => {
  const { base, source } = await proving()
  const post = () => source.fetch(`${base}/things`, { method: 'POST', body: new Blob(['x']).stream() })
  assert.equal((await post()).status, 401)
  // The nonce of that reply is kept.
  assert.equal((await post()).status, 200)
})

test('a client with a DPoP key rejects bearer tokens', async () => {
  const base = await listen((request, response) => response
    .writeHead(200, { 'content-type': 'application/json' }).end('{"access_token":"a","token_type":"Bearer"}'))
  const place = Server.fromMetadata(base, { issuer: base, token_endpoint: `${base}/token` }, { transport: 'loopback_http' })
  const client = new Client(place, { clientId: 'id', clientSecret: 's'.repeat(32), dpopKey: await DpopKey.generate() })
  await assert.rejects(client.clientCredentials().token(), { code: 'token.not_sender_constrained' })
})

test('a DPoP key is exported as PEM only, and not shown when inspected', async () => {
  const key = await DpopKey.generate({ alg: 'ES384' })
  const again = new DpopKey(key.privatePem(), { alg: 'ES384' })
  assert.equal(again.thumbprint, key.thumbprint)
  assert.equal(inspect(key), `DpopKey { thumbprint: '${key.thumbprint}' }`)
  assert.equal(JSON.stringify(key), '{}')
  assert.deepEqual(Object.keys(key.publicJwk()).sort(), ['crv', 'kty', 'x', 'y'])
  assert.throws(() => new DpopKey('x'), { code: 'key.malformed' })
  assert.throws(() => new DpopKey(key.privatePem(), { alg: 'ES256' }), { code: 'key.algorithm' })
  await assert.rejects(DpopKey.generate({ alg: 'HS256' }), { code: 'key.algorithm' })
  assert.throws(() => client('security', { dpopKey: {} }), /dpopKey must be a DpopKey/)
})

test('clients share a grant only if they share the DPoP key', async () => {
  const store = new MemoryStore()
  const grantKey = (dpopKey) => client('security', { dpopKey }).source(undefined, { store, subject: 'ann' }).key
  const [one, other] = await Promise.all([DpopKey.generate(), DpopKey.generate()])
  assert.equal(grantKey(one), grantKey(one))
  assert.equal(new Set([grantKey(one), grantKey(other), grantKey(undefined)]).size, 3)
})

test('a profile error names the violated clause', async () => {
  const ownClient = new Client(server, {
    clientId: 'id', clientSecret: 's'.repeat(32), clientAuth: 'client_secret_basic', profile: 'fapi2_security',
  })
  const refused = { code: 'profile.forbidden', message: /FAPI 2\.0 Security Profile section 5\.3\.3\.1/ }
  await assert.rejects(ownClient.beginAuthorization({ redirectUri }), refused)
  await assert.rejects(ownClient.password({ username: 'ann', password: 'hunter22' }), { code: 'profile.forbidden' })
  assert.throws(() => client('security', { profile: 'fapi' }), { code: 'argument.invalid' })
})

test('a step-up that an API requires is requested once', async () => {
  const challenge = 'Bearer error="insufficient_user_authentication", acr_values="mfa", max_age="0", scope="pay"'
  const reply = (status, text) => new Response(null, { status, headers: { 'www-authenticate': text } })
  const requiredStepUp = stepUp(reply(401, challenge))
  assert.deepEqual(requiredStepUp, { acr_values: ['mfa'], max_age: 0, scope: 'pay' })
  assert.equal(stepUp(reply(401, 'Bearer error="invalid_token"')), undefined)
  assert.equal(stepUp(new Response(null, { status: 401 })), undefined)
  const metadata = { issuer: 'https://as.example', authorization_endpoint: 'https://as.example/a', token_endpoint: 'https://as.example/t' }
  const client = new Client(Server.fromMetadata('https://as.example', metadata), { clientId: 'id' })
  const options = { redirectUri: 'https://app.example/cb', stepUp: requiredStepUp }
  const { url, flow } = client.authorize({ ...options, scope: 'read' })
  const query = Object.fromEntries(url.searchParams)
  assert.deepEqual([query.acr_values, query.max_age, query.scope], ['mfa', '0', 'read pay'])
  const exchange = client.exchange.redeem(flow, `https://app.example/cb?code=c&state=${flow.state}`)
  exchange.begin()
  const body = JSON.stringify({ access_token: 'a', token_type: 'Bearer', expires_in: 600 })
  const { value: tokens } = exchange.reply({ status: 200, headers: [['content-type', 'application/json']], body })
  assert.throws(() => client.authorize({ ...options, tokens }), { code: 'step_up.repeated' })
})

/** OpenID Connect Core sections 3.1.2.1 and 5.5. */
test('a login sends prompt, login_hint, ui_locales and requested claims', () => {
  const metadata = { issuer: 'https://as.example', authorization_endpoint: 'https://as.example/a', token_endpoint: 'https://as.example/t' }
  const client = new Client(Server.fromMetadata('https://as.example', metadata), { clientId: 'id' })
  const claims = { id_token: { auth_time: { essential: true } }, userinfo: { email: null } }
  const loginOptions = { prompt: 'login consent', loginHint: 'ann+1@example.com & co', uiLocales: ['de-CH', 'fr', 'en'], claims }
  const sent = Object.fromEntries(client.authorize({ redirectUri: 'https://app.example/cb', ...loginOptions }).url.searchParams)
  assert.deepEqual([sent.prompt, sent.login_hint, sent.ui_locales], ['login consent', loginOptions.loginHint, 'de-CH fr en'])
  assert.deepEqual(JSON.parse(sent.claims), claims)
})

/** Microsoft Entra's claims challenge, which comes in base64. */
test('the claims of an insufficient_claims challenge are sent in the next request', () => {
  const claims = '{"access_token":{"nbf":{"essential":true,"value":"1"}}}'
  const challenge = `Bearer realm="", error="insufficient_claims", claims="${btoa(claims)}"`
  const requiredStepUp = stepUp(new Response(null, { status: 401, headers: { 'www-authenticate': challenge } }))
  const metadata = { issuer: 'https://as.example', authorization_endpoint: 'https://as.example/a', token_endpoint: 'https://as.example/t' }
  const client = new Client(Server.fromMetadata('https://as.example', metadata), { clientId: 'id' })
  const { url } = client.authorize({ redirectUri: 'https://app.example/cb', stepUp: requiredStepUp })
  assert.deepEqual(url.searchParams.getAll('claims'), [claims])
})

test('the oauth21 and strict profiles reject the password grant and missing PKCE support', async () => {
  const metadata = (more) => ({
    issuer: 'https://as.example', authorization_endpoint: 'https://as.example/a', token_endpoint: 'https://as.example/t', ...more,
  })
  const clientWithProfile = (profile, more) => new Client(Server.fromMetadata('https://as.example', metadata(more)), { clientId: 'id', profile })
  const s256 = { code_challenge_methods_supported: ['S256'] }
  for (const profile of ['oauth21', 'strict']) {
    const client = clientWithProfile(profile, s256)
    const refused = await rejection(client.password({ username: 'ann', password: 'hunter22' }))
    assert.equal(refused.code, 'profile.forbidden')
    assert.match(refused.message, /OAuth 2\.1|RFC 9700/)
    assert.ok(client.authorize({ redirectUri }).url.searchParams.get('code_challenge'))
  }
  const without = { redirectUri }
  assert.throws(() => clientWithProfile('strict', { code_challenge_methods_supported: ['plain'] }).authorize(without), { code: 'pkce.s256_unsupported' })
  assert.throws(() => clientWithProfile('strict').authorize(without), { code: 'pkce.unsupported' })
  // Requests are pushed if the server supports it.
  const offered = { ...s256, pushed_authorization_request_endpoint: 'https://as.example/par' }
  assert.throws(() => clientWithProfile('strict', offered).authorize(without), { code: 'authorization.push_required' })
})

test('a signed request object is referenced by request_uri', async () => {
  const requestUri = new URL('https://app.example/requests/4711')
  const metadata = { issuer: 'https://as.example', authorization_endpoint: 'https://as.example/a', token_endpoint: 'https://as.example/t' }
  const clientAuth = privateKeyJwt((await DpopKey.generate()).privatePem(), { alg: 'ES256' })
  const client = new Client(Server.fromMetadata('https://as.example', metadata), {
    clientId: 'browser', clientAuth, requestObjectSigningAlg: 'ES256',
  })
  const authorization = await client.beginAuthorization({ redirectUri, requestUri })
  assert.deepEqual(Object.fromEntries(authorization.url.searchParams), { client_id: 'browser', request_uri: requestUri.href })
  const claims = decodeJwt(authorization.requestObject)
  assert.deepEqual([claims.client_id, claims.iss, claims.sub], ['browser', 'browser', undefined])
  assert.equal(inspect(authorization).includes(authorization.requestObject), false)
})

test('a code is redeemed for a subset of its resources', async () => {
  const ownClient = client('security', { dpopKey: await DpopKey.generate() })
  const [one, other] = ['https://one.example/', 'https://other.example/']
  const resource = [one, other]
  const { url, flow } = await ownClient.beginAuthorization({ redirectUri, scope: 'openid read', resource, push: 'always' })
  const callback = await openToCallback(url)
  const third = { resource: ['https://third.example/'] }
  await assert.rejects(ownClient.redeem(flow, callback, third), { code: 'resource.exceeds_grant' })
  const { body } = ownClient.exchange.redeem(PendingAuthorization.deserialize(flow.serialize()), callback, { resource: [other] }).begin()
  assert.deepEqual(new URLSearchParams(Buffer.from(body).toString()).getAll('resource'), [other])
  const tokens = await ownClient.redeem(flow, callback, { resource: [one] })
  // A refresh may ask for the rest of them, and for nothing else.
  const next = await ownClient.refresh({ tokens: Tokens.deserialize(tokens.serialize()), resource: [other] })
  await assert.rejects(ownClient.refresh({ tokens: next, ...third }), { code: 'resource.exceeds_grant' })
})

test('a request with a known problem has warnings', () => {
  const metadata = {
    issuer: 'https://as.example', authorization_endpoint: 'https://as.example/a', token_endpoint: 'https://as.example/t',
    acr_values_supported: ['mfa'],
  }
  const client = new Client(Server.fromMetadata('https://as.example', metadata), { clientId: 'id' })
  const authorizationDetails = [{ type: 'payment' }]
  const { warnings } = client.authorize({ redirectUri, acrValues: ['gold'], authorizationDetails })
  assert.deepEqual(warnings, ['acr_values_unsupported', 'authorization_details_unprotected'])
  assert.deepEqual(client.authorize({ redirectUri, acrValues: ['gold', 'mfa'] }).warnings, [])
})

test('workers share a DPoP key in their store', async () => {
  const memory = new MemoryStore()
  const sealed = new SealedStore(memory, Buffer.from(Array.from({ length: 32 }, (_, n) => n)))
  // A store of the program's own.
  const customStore = { load: (...a) => memory.load(...a), save: (...a) => memory.save(...a), lease: (...a) => memory.lease(...a) }
  for (const [name, store] of Object.entries({ memory, sealed, own: customStore })) {
    const { thumbprint } = await DpopKey.open(store, name)
    assert.equal((await DpopKey.open(store, name)).thumbprint, thumbprint)
    assert.notEqual((await DpopKey.open(store, `${name}-2`)).thumbprint, thumbprint)
    await assert.rejects(DpopKey.open(store, name, { alg: 'EdDSA' }), { code: 'key.algorithm' })
    await assert.rejects(DpopKey.open(store, ''), { code: 'argument.invalid' })
  }
  // Of several that make one at once, all get the one that was stored first.
  const made = await Promise.all(Array.from({ length: 8 }, () => DpopKey.open(memory, 'race')))
  assert.equal(new Set(made.map(({ thumbprint }) => thumbprint)).size, 1)
})

/** CIBA Core section 7.1.1. The client is registered for signed requests, so the server rejects unsigned ones. */
test('a backchannel authentication request is signed', async () => {
  const args = { loginHint: 'somebody', scope: 'openid read', bindingMessage: 'W4SCT', requestedExpiry: 60 }
  await assert.rejects(client('backchannel').backchannelAuthentication(args), { code: 'denied.invalid_request' })
  const forms = []
  const seen = (url, init) => {
    if (String(url).endsWith('/backchannel')) forms.push(new URLSearchParams(init.body))
    return fetch(url, init)
  }
  const ownClient = client('backchannel', { requestObjectSigningAlg: 'ES256', fetch: seen })
  const { authReqId, expiresAt } = await ownClient.backchannelAuthentication(args)
  const [form] = forms
  for (const name of ['login_hint', 'scope', 'binding_message']) assert.equal(form.get(name), null, name)
  const claims = decodeJwt(form.get('request'))
  assert.deepEqual([claims.login_hint, claims.iss], ['somebody', 'backchannel'])
  const approval = await fetch(`${issuer}/_answer/yes`, { method: 'POST' })
  assert.equal(await approval.text(), 'W4SCT')
  const tokens = await ownClient.pollBackchannelToken({ authReqId, expiresAt, interval: 1, scope: 'openid read' })
  assert.equal(tokens.claims.sub, 'somebody')
})
