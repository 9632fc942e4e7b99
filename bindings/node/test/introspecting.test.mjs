// For API servers: opaque tokens, verified by introspection.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { core, listen, oidcProvider, rejection, twins } from './helper.mjs'

const { VerifiedAccessToken, AccessTokenVerifier, Client, DpopKey, Server, discover, privateKeyJwt } = core
const audience = 'https://api.example/'
const validResponse = { active: true, client_id: 'c', sub: 'u', aud: audience, scope: 'read' }

const { issuer, clients } = await oidcProvider()
const provider = await discover(issuer, { transport: 'loopback_http' })

function client(which) {
  const { client_id: clientId, client_secret: clientSecret } = clients[which]
  return new Client(provider, { clientId, clientSecret, clientAuth: 'client_secret_basic' })
}

/** A server that returns the same introspection response for every token, and records the requests. */
async function server(responseBody, status = 200) {
  const requests = []
  const base = await listen(async (request, reply) => {
    let body = ''
    for await (const part of request) body += part
    requests.push([request.url, body])
    reply.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(responseBody))
  })
  const metadata = { issuer: base, token_endpoint: `${base}/token`, introspection_endpoint: `${base}/introspect` }
  const configuredServer = Server.fromMetadata(base, metadata, { transport: 'loopback_http' })
  const api = (options, more) => AccessTokenVerifier.introspecting(
    new Client(configuredServer, { clientId: 'api', clientSecret: 'hunter22', clientAuth: 'client_secret_basic', ...more }),
    { audience, ...options },
  )
  return { asked: requests, base, api }
}

async function refusal(verifier, ...args) {
  const { code, responseStatus, challenge } = await rejection(verifier.verify(...args))
  return [code, responseStatus, challenge]
}

test('an API introspects opaque tokens, and caches the responses if configured', async () => {
  const ownClient = client('basic')
  const { accessToken: token } = await ownClient.clientCredentials({ scope: 'read' }).token()
  const introspectingVerifier = AccessTokenVerifier.introspecting(ownClient, { audience, scope: 'read', realm: 'api' })
  const keeps = AccessTokenVerifier.introspecting(ownClient, { audience, cacheMaxAge: 60, cacheEntries: 10 })
  for (const verifier of [introspectingVerifier, keeps]) {
    const verified = await verifier.verify(token)
    assert(verified instanceof VerifiedAccessToken)
    assert.deepEqual([verified.issuer, verified.clientId, verified.scope], [issuer, ownClient.clientId, ['read']])
    assert(verified.expiresAt > new Date())
  }
  assert.deepEqual(await refusal(introspectingVerifier, token, { scope: ['admin'] }), [
    'access_token.insufficient_scope', 403, 'Bearer realm="api", error="insufficient_scope", scope="admin"',
  ])
  await ownClient.revoke({ token })
  assert.equal((await keeps.verify(token)).clientId, ownClient.clientId)
  for (const dead of [token, 'made-up']) {
    assert.deepEqual(await refusal(introspectingVerifier, dead), ['access_token.inactive', 401, 'Bearer realm="api", error="invalid_token"'])
  }
  assert.equal(introspectingVerifier.server.issuer, issuer)
  assert.match(inspect(introspectingVerifier), /audience: 'https:\/\/api.example\/'/)
})

/** FAPI 2.0 Message Signing asks that of APIs. */
test('a signed introspection response is verified', async () => {
  const { fapi: bank } = await twins()
  const { clientId, clientKey } = await bank.client()
  const client = new Client(await discover(bank.base, { transport: 'loopback_http' }), {
    clientId, clientAuth: privateKeyJwt(clientKey), dpopKey: await DpopKey.generate(),
  })
  const { accessToken, scope } = await client.clientCredentials({ scope: 'read' }).token()
  const introspect = (token, signedResponseAlg = 'PS256') => client.introspect({ token, signedResponseAlg })
  const verified = await introspect(accessToken)
  assert.deepEqual([verified.active, verified.clientId, verified.scope], [true, clientId, scope])
  assert.equal((await introspect('never issued')).active, false)
  // The metadata announces no others.
  await assert.rejects(introspect(accessToken, 'ES256'), { code: 'introspection.alg_not_supported' })
  // A page in place of the response is not believed.
  await bank.fault('html')
  await assert.rejects(introspect(accessToken), { code: 'reply.content_type' })
})

/** RFC 8705 section 3.2: the server says to which certificate a token is bound. */
test('a token is accepted only over a connection with its certificate', async () => {
  // That of the certificate of the known answer mtls-cnf-mismatch.
  const x5tS256 = 'LXEWQrcmsEQBYnyp-6wy9chTD7GQPMTbAiWHF5IaSIE'
  const { api } = await server({ ...validResponse, cnf: { 'x5t#S256': x5tS256 } })
  for (const verifier of [api(), api({ cacheMaxAge: 60 })]) {
    assert.equal((await verifier.verify('t', { x5tS256 })).subject, 'u')
    for (const shown of [{ x5tS256: [...x5tS256].reverse().join('') }, { jkt: x5tS256 }, {}]) {
      assert.equal((await refusal(verifier, 't', shown))[0], 'access_token.proof_required')
    }
  }
})

test('only signed introspection responses are accepted if a signature is required', async () => {
  const ownClient = client('introspection-signed')
  const { accessToken: token } = await ownClient.clientCredentials({ scope: 'read' }).token()
  const signed = AccessTokenVerifier.introspecting(ownClient, { audience, signedResponseAlg: 'ES256' })
  assert.equal((await signed.verify(token)).clientId, ownClient.clientId)
  assert.deepEqual((await refusal(signed, 'made-up')).slice(0, 2), ['access_token.inactive', 401])
  // A malformed introspection response does not make the token invalid.
  const other = AccessTokenVerifier.introspecting(ownClient, { audience, signedResponseAlg: 'RS256' })
  assert.deepEqual(await refusal(other, token), ['jws.alg_not_allowed', 503, undefined])
  const { api } = await server(validResponse)
  assert.deepEqual(await refusal(api({ signedResponseAlg: 'ES256' }), 't'), ['introspection.not_signed', 503, undefined])
})

for (const [name, more] of Object.entries({ native: {}, fetch: { fetch } })) {
  test(`concurrent verifications of one token send one introspection request: ${name}`, async () => {
    const { api, asked: requests } = await server(validResponse)
    const verifier = api({ cacheMaxAge: 60 }, more)
    const verified = await Promise.all(Array.from({ length: 6 }, () => verifier.verify('t')))
    assert.deepEqual(verified.map(({ subject }) => subject), Array(6).fill('u'))
    assert.deepEqual(requests, [['/introspect', 'token=t&token_type_hint=access_token']])
    assert.equal((await refusal(verifier, 't', { jkt: 'k' }))[0], 'access_token.proof_required')
    assert.equal(requests.length, 1)
  })
}

test('the client is the subject only if no member of the answer shows a user', async () => {
  for (const member of [{ username: 'alice' }, { email: 'alice@example.com' }, { acr: '1' }, { scope: 'openid' }]) {
    const { api } = await server({ active: true, client_id: 'c', ...member })
    assert.deepEqual(await refusal(api(), 't'), ['jwt.missing_claim', 401, 'Bearer error="invalid_token"'])
    const { api: named } = await server({ active: true, client_id: 'c', sub: 'u', ...member })
    assert.equal((await named().verify('t')).subject, 'u')
  }
  const { api, base } = await server({ active: true, client_id: 'c' })
  const { subject, clientId, expiresAt, claims } = await api().verify('t')
  assert.deepEqual([subject, clientId, expiresAt, { ...claims }], ['c', 'c', undefined, { client_id: 'c', iss: base }])
})

test('a list of scopes and times as text are read', async () => {
  const exp = Math.floor(Date.now() / 1000) + 300
  const { api } = await server({ ...validResponse, scope: ['read', 'write'], exp: String(exp) })
  const { scope, expiresAt } = await api().verify('t', { scope: 'write' })
  assert.deepEqual([scope, expiresAt], [['read', 'write'], new Date(exp * 1000)])
})

test('each verification is a request if nothing is cached', async () => {
  const { api, asked: requests } = await server(validResponse)
  const verifier = api()
  for (let call = 0; call < 2; call += 1) await verifier.verify('t')
  assert.equal(requests.length, 2)
})

test('a failed introspection request is not reported as an invalid token', async () => {
  const { api } = await server({ error: 'invalid_client' }, 401)
  assert.deepEqual(await refusal(api({ cacheMaxAge: 60 }), 't'), ['denied.invalid_client', 503, undefined])
  const { api: large } = await server({ ...validResponse, extra: 'x'.repeat(300 << 10) })
  assert.deepEqual(await refusal(large({ cacheMaxAge: 60 }), 't'), ['introspection.malformed', 503, undefined])
})

test('a value that no header can carry is refused before any request', async () => {
  const { api, asked: requests } = await server({ error: 'invalid_request' }, 400)
  for (const token of ['', 'a b', 'a\r\nX: y', 't\u00f6ken']) {
    assert.deepEqual(await refusal(api(), token), ['access_token.malformed', 401, 'Bearer error="invalid_token"'])
  }
  assert.deepEqual(requests, [])
})

test('introspection runs without a transport', async () => {
  const { api, asked: requests, base } = await server(validResponse)
  const verifier = api({ cacheMaxAge: 60 })
  const [exchange, second] = [verifier.verifyExchange('t'), verifier.verifyExchange('t')]
  const step = exchange.begin()
  assert.deepEqual([step.kind, step.url], ['send', `${base}/introspect`])
  assert.equal(second.begin().kind, 'sleep')
  const headers = [['content-type', 'application/json']]
  const { value } = exchange.reply({ status: 200, headers, body: new TextEncoder().encode(JSON.stringify(validResponse)) })
  assert.deepEqual([second.elapsed().value, value.subject, requests], [value, 'u', []])
})

test('mistyped options are rejected', async () => {
  const { api, asked: requests } = await server(validResponse)
  for (const wrong of [{ scopes: 'read' }, { algs: ['ES256'] }, { profile: 'okta' }, { jkt: 'k' }]) {
    assert.throws(() => api(wrong), TypeError)
  }
  for (const wrong of [{ scopes: 'read' }, { audience: 'a' }, { realm: 'r' }]) {
    await assert.rejects(api().verify('t', wrong), TypeError)
  }
  assert.throws(() => api({ cacheMaxAge: 'long' }), /cacheMaxAge/)
  assert.throws(() => api({ cacheEntries: 10 }), { code: 'arguments.inconsistent' })
  assert.throws(() => api({ signedResponseAudience: 'api' }), { code: 'arguments.inconsistent' })
  assert.throws(() => api({ signedResponseAlg: 'XS256' }), { code: 'key.algorithm' })
  assert.throws(() => AccessTokenVerifier.introspecting(provider, { audience }), /a Client/)
  assert.deepEqual(requests, [])
})
