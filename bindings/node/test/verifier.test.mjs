// For API servers: verification of access tokens, ID tokens and logout tokens.
import assert from 'node:assert/strict'
import { createHash, createHmac, generateKeyPairSync, sign } from 'node:crypto'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { core, listen, rejection } from './helper.mjs'

const { VerifiedAccessToken, AccessTokenVerifier, Client, IdToken, LogoutToken, LostError, Server, provider } = core
const AUDIENCE = 'https://api.example'
const EVENT = 'http://schemas.openid.net/event/backchannel-logout'

const { privateKey, publicKey } = generateKeyPairSync('ec', {
  namedCurve: 'P-256',
  privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  publicKeyEncoding: { format: 'jwk' },
})
const jwks = { keys: [{ ...publicKey, kid: '1', alg: 'ES256', use: 'sig' }] }
const now = () => Math.floor(Date.now() / 1000)

function signJwt(typ, claims) {
  const encode = (part) => Buffer.from(JSON.stringify(part)).toString('base64url')
  const input = `${encode({ alg: 'ES256', kid: '1', typ })}.${encode(claims)}`
  const signature = sign('sha256', Buffer.from(input), { key: privateKey, dsaEncoding: 'ieee-p1363' })
  return `${input}.${signature.toString('base64url')}`
}

/** An authorization server that has keys and counts who asks for them. */
async function issuer() {
  const requests = []
  const base = await listen((request, reply) => {
    requests.push(request.url)
    reply.setHeader('content-type', 'application/json').end(JSON.stringify(jwks))
  })
  const metadata = {
    issuer: base,
    jwks_uri: `${base}/jwks`,
    end_session_endpoint: `${base}/logout`,
    id_token_signing_alg_values_supported: ['ES256'],
  }
  const server = Server.fromMetadata(base, metadata, { transport: 'loopback_http' })
  const token = (more = {}, typ = 'at+jwt') => signJwt(typ, {
    iss: base, aud: AUDIENCE, sub: 'u', client_id: 'c', jti: 'j', scope: 'read', iat: now(), exp: now() + 60, ...more,
  })
  const logout = (more) => signJwt('logout+jwt', {
    iss: base, aud: 'id', iat: now(), exp: now() + 60, events: { [EVENT]: {} }, ...more,
  })
  const idToken = (more, typ = 'JWT') => signJwt(typ, {
    iss: base, aud: 'id', sub: 'u', iat: now(), exp: now() + 60, ...more,
  })
  return { base, server, asked: requests, token, logout, idToken }
}

test('an expiry beyond the range of Date is clamped', async () => {
  const { server, token } = await issuer()
  const verifier = new AccessTokenVerifier(server, { audience: AUDIENCE })
  const verified = await verifier.verify(token({ exp: 1e30 }))
  assert.equal(verified.expiresAt.getTime(), 8.64e15)
})

test('an API verifies access tokens with keys that it fetches once', async () => {
  const { base, server, asked: requests, token } = await issuer()
  const verifier = new AccessTokenVerifier(server, { audience: AUDIENCE, scope: 'read' })
  // Some servers copy the nonce of the login into it.
  const verified = await verifier.verify(token({ groups: ['g'], nonce: 'n' }))
  assert(verified instanceof VerifiedAccessToken)
  assert.deepEqual([verified.subject, verified.clientId, verified.issuer, verified.audience], ['u', 'c', base, [AUDIENCE]])
  assert.deepEqual([verified.scope, verified.claims.groups], [['read'], ['g']])
  assert(verified.expiresAt > new Date())
  await Promise.all(Array.from({ length: 5 }, () => verifier.verify(token())))
  assert.deepEqual(requests, ['/jwks'])
  assert.match(inspect(verifier), /audience: 'https:\/\/api.example'/)
})

test('the algorithm of a published key applies if the metadata names none', async () => {
  for (const key of [publicKey, { ...publicKey, alg: 'ES256', use: 'sig' }]) {
    const { base, token } = await issuer()
    const keys = { keys: [{ ...key, kid: '1' }] }
    const place = await listen((request, reply) => reply.setHeader('content-type', 'application/json').end(JSON.stringify(keys)))
    const server = Server.fromMetadata(base, { issuer: base, jwks_uri: `${place}/jwks` }, { transport: 'loopback_http' })
    const verifier = new AccessTokenVerifier(server, { audience: AUDIENCE })
    assert.equal((await verifier.verify(token())).subject, 'u')
    // The public key as a shared secret, no signature at all, and an algorithm other than the key's.
    const [, claims] = token().split('.')
    const forged = (alg) => `${Buffer.from(JSON.stringify({ alg, kid: '1', typ: 'at+jwt' })).toString('base64url')}.${claims}`
    const text = JSON.stringify(keys.keys[0])
    const mac = createHmac('sha256', text).update(forged('HS256')).digest('base64url')
    for (const wrong of [`${forged('HS256')}.${mac}`, `${forged('none')}.`, `${forged('ES384')}.${'A'.repeat(128)}`]) {
      await assert.rejects(verifier.verify(wrong), { code: 'jws.alg_not_allowed' })
    }
    const named = new AccessTokenVerifier(server, { audience: AUDIENCE, algs: ['RS256'] })
    await assert.rejects(named.verify(token()), { code: 'jws.alg_not_allowed' })
  }
})

test('verification with cached keys finishes immediately', async () => {
  const { server, token, idToken } = await issuer()
  const verifier = new AccessTokenVerifier(server, { audience: AUDIENCE })
  const client = new Client(server, { clientId: 'id', clientAuth: 'none', idTokenSignedResponseAlg: 'ES256' })
  await verifier.verify(token())
  await client.verifyIdToken({ token: idToken(), unexpectedNonce: 'reject' })
  const first = (verified) => Promise.race([verified.then(({ subject }) => subject), new Promise((done) => { setImmediate(done, 'later') })])
  assert.equal(await first(verifier.verify(token())), 'u')
  assert.equal(await first(verifier.verify(token(), { scope: 'read' })), 'u')
  assert.equal(await first(client.verifyIdToken({ token: idToken(), unexpectedNonce: 'reject' })), 'u')
  await assert.rejects(verifier.verify(token({ aud: 'https://other.example' })), { code: 'jwt.audience' })
  await assert.rejects(verifier.verify(token(), { signal: AbortSignal.abort() }), { name: 'AbortError' })
  await assert.rejects(verifier.verify(token(), { timeoutMs: 0 }), TypeError)
  await assert.rejects(verifier.verify(undefined), TypeError)
})

test('the may_act claim of a token is returned', async () => {
  const { server, token, idToken } = await issuer()
  const verifier = new AccessTokenVerifier(server, { audience: AUDIENCE })
  const client = new Client(server, { clientId: 'id', clientAuth: 'none' })
  const mayAct = { iss: 'https://as.example', sub: 'admin@example.com', exp: 1 }
  for (const [actorClaims, expected] of [
    [{ may_act: mayAct, act: { sub: 'somebody' } }, mayAct],
    [{ may_act: {} }, {}],
    [{ may_act: 'admin@example.com' }, undefined],
    [{ may_act: [mayAct] }, undefined],
    [{ may_act: null }, undefined],
    [{ act: mayAct }, undefined],
    [{}, undefined],
  ]) {
    const person = await client.verifyIdToken({ token: idToken(actorClaims), unexpectedNonce: 'reject' })
    for (const verified of [await verifier.verify(token(actorClaims)), person]) {
      assert.deepEqual(verified.mayAct, expected)
      assert.deepEqual(verified.claims.may_act, actorClaims.may_act)
      assert.ok(!inspect(verified).includes('admin@example.com'))
    }
  }
})

test('exported keys are imported by another process', async () => {
  const { server, asked: requests, token } = await issuer()
  const started = () => new AccessTokenVerifier(server, { audience: AUDIENCE })
  const first = started()
  assert.equal(first.exportKeys(), undefined)
  await first.verify(token())
  const stored = first.exportKeys()
  const second = started()
  second.importKeys(stored)
  await second.verify(token())
  const client = new Client(server, { clientId: 'id', clientAuth: 'none' })
  client.importKeys(stored)
  assert.equal(client.exportKeys(), stored)
  assert.deepEqual(requests, ['/jwks'])
  assert.throws(() => started().importKeys('{}'), { code: 'stored.malformed' })
  assert.throws(() => started().importKeys(stored.replace('127', '128')), { code: 'stored.issuer' })
})

// Microsoft: "Keys that have an issuer value with a GUID" are for tokens of that issuer alone.
for (const tenant of ['{tenantid}', '9188040d-6c67-4c5b-b112-36a304b66dad', 'other', undefined]) {
  test(`a key published for an issuer verifies only its tokens: ${tenant}`, async () => {
    const base = await listen((request, reply) => {
      const issuer = tenant && `http://${request.headers.host}/${tenant}/v2.0`
      const keys = jwks.keys.map((key) => ({ ...key, issuer }))
      reply.setHeader('content-type', 'application/json').end(JSON.stringify({ keys }))
    })
    const server = provider('microsoft-entra', { variables: { tenant: 'common' }, loopback: base })
    const tenantId = '9188040d-6c67-4c5b-b112-36a304b66dad'
    const iss = `${base}/${tenantId}/v2.0`
    const token = signJwt('JWT', { iss, tid: tenantId, aud: AUDIENCE, sub: 'u', azp: 'c', iat: now(), exp: now() + 60 })
    const verifier = new AccessTokenVerifier(server, { audience: AUDIENCE, profile: 'entra', algs: ['ES256'] })
    if (tenant !== 'other') {
      assert.equal((await verifier.verify(token)).issuer, iss)
      return
    }
    const { code, message } = await rejection(verifier.verify(token))
    assert.equal(code, 'jws.no_matching_key')
    assert.ok(message.includes(`only for ${base}/other/v2.0: the key with the kid 1`), message)
  })
}

test('a verification error has a response status and challenge', async () => {
  const { server, token } = await issuer()
  const verifier = new AccessTokenVerifier(server, { audience: AUDIENCE, realm: 'a "b"', dpopAlgs: ['ES256'] })
  const refusal = async (...args) => {
    const { code, responseStatus, challenge } = await rejection(verifier.verify(...args))
    return [code, responseStatus, challenge]
  }
  const realm = 'realm="a \\"b\\""'
  const dpop = `DPoP ${realm}, algs="ES256"`
  assert.deepEqual(await refusal(token({ exp: 1 })), ['jwt.expired', 401, `Bearer ${realm}, error="invalid_token", ${dpop}`])
  assert.deepEqual(await refusal(token(), { scope: ['admin'] }), [
    'access_token.insufficient_scope', 403, `Bearer ${realm}, error="insufficient_scope", scope="admin", ${dpop}`,
  ])
  assert.deepEqual(await refusal(token(), { acrValues: ['gold'], maxAge: 60 }), [
    'access_token.insufficient_user_authentication', 401,
    `Bearer ${realm}, error="insufficient_user_authentication", acr_values="gold", max_age="60", ${dpop}`,
  ])
  for (const [what, code] of [
    [token({}, 'JWT'), 'jwt.typ'],
    [token({ at_hash: 'h' }), 'jwt.unexpected_claim'],
    [token({ aud: 'https://other.example' }), 'jwt.audience'],
    [`${token().slice(0, -4)}AAAA`, 'jws.bad_signature'],
    ['opaque', 'jws.malformed'],
  ]) {
    assert.deepEqual((await refusal(what)).slice(0, 2), [code, 401])
  }
})

test('a DPoP-bound token requires a proof of its key', async () => {
  const { server, token } = await issuer()
  const verifier = new AccessTokenVerifier(server, { audience: AUDIENCE })
  const jkt = createHash('sha256').update('key').digest('base64url')
  const bound = token({ cnf: { jkt } })
  assert.equal((await verifier.verify(bound, { jkt })).claims.cnf.jkt, jkt)
  assert.equal((await rejection(verifier.verify(bound))).code, 'access_token.proof_required')
  assert.equal((await rejection(verifier.verify(bound, { jkt: 'other' }))).challenge, 'DPoP error="invalid_token", Bearer')
})

test('an unreachable server does not make the token invalid', async () => {
  const { base, token } = await issuer()
  const metadata = { issuer: base, jwks_uri: 'http://127.0.0.1:1/jwks', id_token_signing_alg_values_supported: ['ES256'] }
  const server = Server.fromMetadata(base, metadata, { transport: 'loopback_http' })
  const error = await rejection(new AccessTokenVerifier(server, { audience: AUDIENCE }).verify(token()))
  assert(error instanceof LostError)
  assert.deepEqual([error.responseStatus, error.challenge], [503, undefined])
})

test('mistyped options and unknown profiles are rejected', async () => {
  const { server, token } = await issuer()
  assert.throws(() => new AccessTokenVerifier(server, { audience: AUDIENCE, scopes: 'read' }), TypeError)
  const verifier = new AccessTokenVerifier(server, { audience: AUDIENCE })
  await assert.rejects(verifier.verify(token(), { scopes: 'read' }), TypeError)
  assert.throws(() => new AccessTokenVerifier(server, { audience: AUDIENCE, profile: 'okto' }), /profile.*rfc9068. .keycloak/)
  const keycloak = new AccessTokenVerifier(server, { audience: AUDIENCE, profile: 'keycloak' })
  assert.equal((await keycloak.verify(token({ azp: 'k', typ: 'Bearer' }, 'JWT'))).clientId, 'k')
})

test('a standalone ID token identifies the user', async () => {
  const { base, server, asked: requests, idToken } = await issuer()
  const client = new Client(server, { clientId: 'id' })
  const person = { email: 'ann@example.com', email_verified: true, name: 'Ann', sid: 's' }
  const verified = await client.verifyIdToken({ token: idToken({ nonce: 'n', ...person }), nonce: 'n' })
  assert(verified instanceof IdToken)
  assert.deepEqual([verified.subject, verified.issuer, verified.audience], ['u', base, ['id']])
  assert.deepEqual([verified.email, verified.emailVerified, verified.name, verified.sid], Object.values(person))
  assert(verified.issuedAt < verified.expiresAt)
  assert(!inspect(verified).includes('ann@example.com'))
  await client.verifyIdToken({ token: idToken(), unexpectedNonce: 'reject' })
  assert.deepEqual(requests, ['/jwks'])
  // An app asks for a token for its server; a native button gives one for the app.
  for (const claims of [{ azp: 'phone' }, { aud: 'phone' }]) {
    await client.verifyIdToken({ token: idToken({ nonce: 'n', ...claims }), nonce: 'n', clientIds: ['phone'] })
  }
})

test('an invalid ID token is rejected', async () => {
  const { server, idToken } = await issuer()
  const client = new Client(server, { clientId: 'id' })
  const valid = idToken({ nonce: 'n' })
  const [head, body, signature] = valid.split('.')
  const encode = (value) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const atHash = createHash('sha256').update('t').digest().subarray(0, 16).toString('base64url')
  const bound = { nonce: 'n' }
  for (const [token, verifyOptions, code] of [
    [`${encode({ alg: 'none' })}.${body}.`, bound, 'jws.alg_not_allowed'],
    [`${head}.${encode({ sub: 'mallory' })}.${signature}`, bound, 'jws.bad_signature'],
    [valid, { nonce: 'm' }, 'id_token.nonce'],
    [valid, { unexpectedNonce: 'reject' }, 'jwt.unexpected_claim'],
    [idToken(), bound, 'jwt.missing_claim'],
    [idToken({ nonce: 'n', iss: 'https://evil.example' }), bound, 'jwt.issuer'],
    [idToken({ nonce: 'n', aud: 'other' }), bound, 'jwt.audience'],
    [idToken({ nonce: 'n', azp: 'other' }), bound, 'id_token.azp'],
    [idToken({ nonce: 'n', exp: now() - 120 }), bound, 'jwt.expired'],
    [idToken({ nonce: 'n' }), { ...bound, maxAge: 60 }, 'id_token.auth_time_missing'],
    [idToken({ nonce: 'n', at_hash: 'x' }), { ...bound, accessToken: 't' }, 'id_token.at_hash'],
    [idToken({ nonce: 'n' }, 'at+jwt'), bound, 'jwt.typ'],
    [idToken({ nonce: 'n', token_use: 'access' }), bound, 'jwt.unexpected_claim'],
    [valid, {}, 'arguments.inconsistent'],
    [idToken({ nonce: '' }), { nonce: '' }, 'form.malformed_parameter'],
  ]) {
    assert.equal((await rejection(client.verifyIdToken({ token, ...verifyOptions }))).code, code)
  }
  await client.verifyIdToken({ token: idToken({ nonce: 'n', at_hash: atHash }), nonce: 'n', accessToken: 't' })
})

test('the jwt profile accepts a plain JWT but not an ID token', async () => {
  const { base, server, idToken } = await issuer()
  const verifier = new AccessTokenVerifier(server, { audience: AUDIENCE, profile: 'jwt' })
  const claims = { iss: base, sub: 'client', aud: AUDIENCE, iat: now(), exp: now() + 60, scope: ['read'] }
  const verified = await verifier.verify(signJwt('JWT', claims), { scope: 'read' })
  assert.deepEqual([verified.subject, verified.clientId, verified.scope], ['client', undefined, ['read']])
  assert.equal((await rejection(verifier.verify(idToken()))).code, 'jwt.audience')
  const verifying = verifier.verify(idToken({ aud: AUDIENCE, nonce: 'n' }))
  assert.equal((await rejection(verifying)).code, 'jwt.unexpected_claim')
})

test('an API may have several audiences, but needs at least one', async () => {
  const { server, token } = await issuer()
  const verifier = new AccessTokenVerifier(server, { audience: ['https://old.example', AUDIENCE] })
  await verifier.verify(token())
  await verifier.verify(token({ aud: ['x', 'https://old.example'] }))
  assert.equal((await rejection(verifier.verify(token({ aud: 'x' })))).code, 'jwt.audience')
  for (const audience of [[], '', [AUDIENCE, '']]) {
    assert.throws(() => new AccessTokenVerifier(server, { audience }), { code: 'form.malformed_parameter' })
  }
})

test('a logout token is accepted only once', async () => {
  const { server, logout } = await issuer()
  const client = new Client(server, { clientId: 'id' })
  const token = logout({ jti: '1', sub: 'u', sid: 's' })
  const verified = await client.verifyLogoutToken({ token })
  assert(verified instanceof LogoutToken)
  assert.deepEqual([verified.subject, verified.sid, verified.jti], ['u', 's', '1'])
  assert(verified.forgetAt > new Date())
  assert.equal((await rejection(client.verifyLogoutToken({ token }))).code, 'logout_token.replayed')
  assert.equal((await client.verifyLogoutToken({ token, replay: 'caller' })).jti, '1')
  const nonce = client.verifyLogoutToken({ token: logout({ jti: '2', sub: 'u', nonce: 'n' }) })
  assert.equal((await rejection(nonce)).code, 'jwt.unexpected_claim')
})

test('endSessionUrl contains the logout parameters', async () => {
  const { base, server } = await issuer()
  const client = new Client(server, { clientId: 'id' })
  assert.equal(client.endSessionUrl().href, `${base}/logout?client_id=id`)
  const url = client.endSessionUrl({
    idTokenHint: 'a.b.c', logoutHint: 'u', postLogoutRedirectUri: new URL('https://rp.example/bye'), state: 's', uiLocales: 'de en',
  })
  assert.deepEqual(Object.fromEntries(url.searchParams), {
    id_token_hint: 'a.b.c', logout_hint: 'u', client_id: 'id', post_logout_redirect_uri: 'https://rp.example/bye', state: 's', ui_locales: 'de en',
  })
  const requestWithHttpUri = () => client.endSessionUrl({ postLogoutRedirectUri: 'http://rp.example/bye' })
  assert.throws(requestWithHttpUri, { code: 'redirect_uri.refused' })
  const without = Server.fromMetadata(base, { issuer: base }, { transport: 'loopback_http' })
  assert.throws(() => new Client(without, { clientId: 'id' }).endSessionUrl(), { code: 'endpoint.missing' })
})
