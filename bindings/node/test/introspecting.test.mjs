// For API servers: tokens that say nothing by themselves, verified by asking about them.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { core, listen, oidcProvider, rejection, twins } from './helper.mjs'

const { VerifiedAccessToken, AccessTokenVerifier, Client, DpopKey, Server, discover, privateKeyJwt } = core
const audience = 'https://api.example/'
const good = { active: true, client_id: 'c', sub: 'u', aud: audience, scope: 'read' }

const { issuer, clients } = await oidcProvider()
const provider = await discover(issuer, { transport: 'loopback_http' })

function client(which) {
  const { client_id: clientId, client_secret: clientSecret } = clients[which]
  return new Client(provider, { clientId, clientSecret, clientAuth: 'client_secret_basic' })
}

/** A server that says the same of every token, and remembers who asked. */
async function server(said, status = 200) {
  const asked = []
  const base = await listen(async (request, reply) => {
    let body = ''
    for await (const part of request) body += part
    asked.push([request.url, body])
    reply.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(said))
  })
  const metadata = { issuer: base, token_endpoint: `${base}/token`, introspection_endpoint: `${base}/introspect` }
  const known = Server.fromMetadata(base, metadata, { transport: 'loopback_http' })
  const api = (options, more) => AccessTokenVerifier.introspecting(
    new Client(known, { clientId: 'api', clientSecret: 'hunter22', clientAuth: 'client_secret_basic', ...more }),
    { audience, ...options },
  )
  return { asked, base, api }
}

async function refusal(verifier, ...args) {
  const { code, responseStatus, challenge } = await rejection(verifier.verify(...args))
  return [code, responseStatus, challenge]
}

test('an API asks about tokens that say nothing', async () => {
  const us = client('basic')
  const { accessToken: token } = await us.clientCredentials({ scope: 'read' }).token()
  const asks = AccessTokenVerifier.introspecting(us, { audience, scope: 'read', realm: 'api' })
  const keeps = AccessTokenVerifier.introspecting(us, { audience, cacheMaxAge: 60, cacheEntries: 10 })
  for (const verifier of [asks, keeps]) {
    const told = await verifier.verify(token)
    assert(told instanceof VerifiedAccessToken)
    assert.deepEqual([told.issuer, told.clientId, told.scope], [issuer, us.clientId, ['read']])
    assert(told.expiresAt > new Date())
  }
  assert.deepEqual(await refusal(asks, token, { scope: ['admin'] }), [
    'access_token.insufficient_scope', 403, 'Bearer realm="api", error="insufficient_scope", scope="admin"',
  ])
  await us.revoke({ token })
  assert.equal((await keeps.verify(token)).clientId, us.clientId)
  for (const dead of [token, 'made-up']) {
    assert.deepEqual(await refusal(asks, dead), ['access_token.inactive', 401, 'Bearer realm="api", error="invalid_token"'])
  }
  assert.equal(asks.server.issuer, issuer)
  assert.match(inspect(asks), /audience: 'https:\/\/api.example\/'/)
})

/** FAPI 2.0 Message Signing asks that of APIs. */
test('what the server says of a token is signed', async () => {
  const { fapi: bank } = await twins()
  const { clientId, clientKey } = await bank.client()
  const us = new Client(await discover(bank.base, { transport: 'loopback_http' }), {
    clientId, clientAuth: privateKeyJwt(clientKey), dpopKey: await DpopKey.generate(),
  })
  const { accessToken, scope } = await us.clientCredentials({ scope: 'read' }).token()
  const ask = (token, signedResponseAlg = 'PS256') => us.introspect({ token, signedResponseAlg })
  const told = await ask(accessToken)
  assert.deepEqual([told.active, told.clientId, told.scope], [true, clientId, scope])
  assert.equal((await ask('never issued')).active, false)
  // The metadata says that there are no others.
  await assert.rejects(ask(accessToken, 'ES256'), { code: 'introspection.alg_not_supported' })
  // A page in place of the response is not believed.
  await bank.fault('html')
  await assert.rejects(ask(accessToken), { code: 'reply.content_type' })
})

/** RFC 8705 section 3.2: the server says to which certificate a token is bound. */
test('a token is good over the connection of its certificate alone', async () => {
  // That of the certificate of the known answer mtls-cnf-mismatch.
  const x5tS256 = 'LXEWQrcmsEQBYnyp-6wy9chTD7GQPMTbAiWHF5IaSIE'
  const { api } = await server({ ...good, cnf: { 'x5t#S256': x5tS256 } })
  for (const verifier of [api(), api({ cacheMaxAge: 60 })]) {
    assert.equal((await verifier.verify('t', { x5tS256 })).subject, 'u')
    for (const shown of [{ x5tS256: [...x5tS256].reverse().join('') }, { jkt: x5tS256 }, {}]) {
      assert.equal((await refusal(verifier, 't', shown))[0], 'access_token.proof_required')
    }
  }
})

test('the answers are signed', async () => {
  const us = client('introspection-signed')
  const { accessToken: token } = await us.clientCredentials({ scope: 'read' }).token()
  const signed = AccessTokenVerifier.introspecting(us, { audience, signedResponseAlg: 'ES256' })
  assert.equal((await signed.verify(token)).clientId, us.clientId)
  assert.deepEqual((await refusal(signed, 'made-up')).slice(0, 2), ['access_token.inactive', 401])
  // What is wrong with the answer is no fault of the token.
  const other = AccessTokenVerifier.introspecting(us, { audience, signedResponseAlg: 'RS256' })
  assert.deepEqual(await refusal(other, token), ['jws.alg_not_allowed', 503, undefined])
  const { api } = await server(good)
  assert.deepEqual(await refusal(api({ signedResponseAlg: 'ES256' }), 't'), ['introspection.not_signed', 503, undefined])
})

for (const [name, more] of Object.entries({ native: {}, fetch: { fetch } })) {
  test(`of several calls with one new token one asks: ${name}`, async () => {
    const { api, asked } = await server(good)
    const verifier = api({ cacheMaxAge: 60 }, more)
    const told = await Promise.all(Array.from({ length: 6 }, () => verifier.verify('t')))
    assert.deepEqual(told.map(({ subject }) => subject), Array(6).fill('u'))
    assert.deepEqual(asked, [['/introspect', 'token=t&token_type_hint=access_token']])
    assert.equal((await refusal(verifier, 't', { jkt: 'k' }))[0], 'access_token.proof_required')
    assert.equal(asked.length, 1)
  })
}

test('without a memory each call is a request', async () => {
  const { api, asked } = await server(good)
  const verifier = api()
  for (let call = 0; call < 2; call += 1) await verifier.verify('t')
  assert.equal(asked.length, 2)
})

test('a server that refuses the question is no fault of the token', async () => {
  const { api } = await server({ error: 'invalid_client' }, 401)
  assert.deepEqual(await refusal(api({ cacheMaxAge: 60 }), 't'), ['denied.invalid_client', 503, undefined])
  const { api: large } = await server({ ...good, extra: 'x'.repeat(300 << 10) })
  assert.deepEqual(await refusal(large({ cacheMaxAge: 60 }), 't'), ['introspection.malformed', 503, undefined])
})

test('what no header can carry is refused, and not asked about', async () => {
  const { api, asked } = await server({ error: 'invalid_request' }, 400)
  for (const token of ['', 'a b', 'a\r\nX: y', 't\u00f6ken']) {
    assert.deepEqual(await refusal(api(), token), ['access_token.malformed', 401, 'Bearer error="invalid_token"'])
  }
  assert.deepEqual(asked, [])
})

test('it runs without a transport', async () => {
  const { api, asked, base } = await server(good)
  const verifier = api({ cacheMaxAge: 60 })
  const [exchange, second] = [verifier.verifyExchange('t'), verifier.verifyExchange('t')]
  const step = exchange.begin()
  assert.deepEqual([step.kind, step.url], ['send', `${base}/introspect`])
  assert.equal(second.begin().kind, 'sleep')
  const headers = [['content-type', 'application/json']]
  const { value } = exchange.reply({ status: 200, headers, body: new TextEncoder().encode(JSON.stringify(good)) })
  assert.deepEqual([second.elapsed().value, value.subject, asked], [value, 'u', []])
})

test('what is mistyped is not left out', async () => {
  const { api, asked } = await server(good)
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
  assert.deepEqual(asked, [])
})
