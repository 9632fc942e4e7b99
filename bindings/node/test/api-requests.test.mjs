// For API servers: requests verified, with the DPoP proofs of their tokens (RFC 9449).
import assert from 'node:assert/strict'
import { createHash, createHmac, generateKeyPairSync, randomBytes, randomUUID, sign } from 'node:crypto'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { core, listen, rejection } from './helper.mjs'

const { AccessTokenVerifier, Client, DpopKey, Server } = core
const AUDIENCE = 'https://api.example'
const URL_OF_REQUEST = 'https://api.example/orders'

const keyPair = () => generateKeyPairSync('ec', {
  namedCurve: 'P-256',
  privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  publicKeyEncoding: { format: 'jwk' },
})
const issuing = keyPair()
const holder = keyPair()
const { thumbprint: jkt } = new DpopKey(holder.privateKey)
const now = () => Math.floor(Date.now() / 1000)
const encode = (part) => Buffer.from(typeof part === 'string' ? part : JSON.stringify(part)).toString('base64url')

function signed(header, claims, { privateKey }) {
  const input = `${encode(header)}.${encode(claims)}`
  return `${input}.${sign('sha256', Buffer.from(input), { key: privateKey, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`
}

const hash = (text) => createHash('sha256').update(text).digest('base64url')

/** A proof for a token; members of `header` and `claims` replace or, if undefined, remove its own. */
function proofFor(token, { header = {}, claims = {}, key = holder } = {}) {
  const proofClaims = { jti: randomUUID(), htm: 'GET', htu: URL_OF_REQUEST, iat: now(), ath: hash(token) }
  return signed({ typ: 'dpop+jwt', alg: 'ES256', jwk: key.publicKey, ...header }, { ...proofClaims, ...claims }, key)
}

/** A server that issues bound tokens for client credentials, and an API at the same address. */
async function world(options = {}) {
  const seen = []
  let verifier
  const token = (more = { cnf: { jkt } }) => signed({ typ: 'at+jwt', alg: 'ES256', kid: '1' }, {
    iss: base, aud: AUDIENCE, sub: 'u', client_id: 'c', jti: 'j', scope: 'read', iat: now(), exp: now() + 60, ...more,
  }, issuing)
  const base = await listen(async (request, reply) => {
    const json = (value) => reply.setHeader('content-type', 'application/json').end(JSON.stringify(value))
    if (request.url === '/jwks') return json({ keys: [{ ...issuing.publicKey, kid: '1', alg: 'ES256' }] })
    if (request.url === '/token') return json({ access_token: token(), token_type: 'DPoP', expires_in: 60 })
    try {
      const { subject, dpopNonce } = await verifier.verifyRequest({
        method: request.method,
        url: `${base}${request.url}`,
        authorization: request.headersDistinct.authorization,
        dpop: request.headersDistinct.dpop,
      })
      seen.push('ok')
      if (dpopNonce !== undefined) reply.setHeader('dpop-nonce', dpopNonce)
      return json({ subject })
    } catch (error) {
      seen.push(error.code)
      reply.writeHead(error.responseStatus, error.responseHeaders).end()
    }
  })
  const metadata = { issuer: base, jwks_uri: `${base}/jwks`, token_endpoint: `${base}/token` }
  const server = Server.fromMetadata(base, metadata, { transport: 'loopback_http' })
  verifier = new AccessTokenVerifier(server, { audience: AUDIENCE, dpopAlgs: ['ES256'], ...options })
  const client = new Client(server, { clientId: 'c', clientSecret: 's', dpopKey: new DpopKey(holder.privateKey) })
  const request = (authorization, dpop, more) => ({ method: 'GET', url: URL_OF_REQUEST, authorization, dpop, ...more })
  return { base, server, verifier, client, token, seen, request }
}

test('the proofs of this client are verified, at every URL and by every method', async () => {
  const { base, client, seen } = await world()
  const source = client.clientCredentials({ origins: [base] })
  for (const [path, init] of [
    ['/orders', {}],
    ['/orders?page=2', {}],
    ['', {}],
    ['/%7Eann/./x/../caf%c3%a9', {}],
    ['/orders', { method: 'POST', body: 'x' }],
  ]) {
    const reply = await source.fetch(`${base}${path}`, init)
    assert.equal(reply.status, 200, `${path} ${seen}`)
    assert.deepEqual(await reply.json(), { subject: 'u' })
  }
  assert.deepEqual(seen, Array(5).fill('ok'))
})

test('a client gets the nonce that the API requires, and keeps it', async () => {
  const { base, client, seen } = await world({ dpopNonceKey: randomBytes(32).toString('base64url') })
  const source = client.clientCredentials({ origins: [base] })
  for (let count = 0; count < 3; count += 1) assert.equal((await source.fetch(`${base}/orders`)).status, 200)
  assert.deepEqual(seen, ['dpop_proof.nonce', 'ok', 'ok', 'ok'])
})

test('a nonce is required with a challenge that contains one', async () => {
  const dpopNonceKey = randomBytes(32).toString('base64url')
  const { server, verifier, token, request } = await world({ dpopNonceKey })
  const bound = token()
  const error = await rejection(verifier.verifyRequest(request(`DPoP ${bound}`, proofFor(bound))))
  assert.deepEqual([error.code, error.responseStatus], ['dpop_proof.nonce', 401])
  const { 'www-authenticate': challenge, 'dpop-nonce': nonce } = error.responseHeaders
  assert.equal(challenge, 'DPoP error="use_dpop_nonce", algs="ES256", Bearer')
  assert.equal(challenge, error.challenge)
  // Another process of the same API accepts it, and one with another key does not.
  for (const [key, code] of [[dpopNonceKey, undefined], [randomBytes(32).toString('base64url'), 'dpop_proof.nonce']]) {
    const other = new AccessTokenVerifier(server, { audience: AUDIENCE, dpopNonceKey: key })
    const again = other.verifyRequest(request(`DPoP ${bound}`, proofFor(bound, { claims: { nonce } })))
    assert.equal(await again.then(({ dpopNonce }) => dpopNonce, (refused) => refused.code), code)
  }
})

test('a bound token is accepted with a valid proof, and the claims of both are returned', async () => {
  const { verifier, token, request } = await world()
  const bound = token()
  const verified = await verifier.verifyRequest(request(`dpop ${bound}`, [proofFor(bound)]))
  assert.deepEqual([verified.subject, verified.claims.cnf, verified.dpopNonce], ['u', { jkt }, undefined])
  assert.equal(verified.dpopReplayKey.length, 43)
  assert.ok(verified.dpopForgetAt > new Date())
  const bearer = await verifier.verifyRequest(request(`Bearer ${token({})}`))
  assert.deepEqual([bearer.dpopReplayKey, bearer.dpopForgetAt], [undefined, undefined])
})

const HMAC = (token) => {
  const input = proofFor(token, { header: { alg: 'HS256' } }).split('.').slice(0, 2).join('.')
  return `${input}.${createHmac('sha256', JSON.stringify(holder.publicKey)).update(input).digest('base64url')}`
}
const other = keyPair()
const header = (header) => (token) => proofFor(token, { header })
const claims = (claims) => (token) => proofFor(token, { claims })

for (const [flaw, dpop, code] of [
  ['is missing', () => undefined, 'dpop_proof.missing'],
  ['comes in no field of several', () => [], 'dpop_proof.missing'],
  ['comes twice', (token) => [proofFor(token), proofFor(token)], 'dpop_proof.duplicate'],
  ['comes twice in one field', (token) => `${proofFor(token)}, ${proofFor(token)}`, 'dpop_proof.duplicate'],
  ['is no JWT', () => 'proof', 'dpop_proof.malformed'],
  ['is too long', claims({ x: 'x'.repeat(20_000) }), 'dpop_proof.malformed'],
  ['has no typ', header({ typ: undefined }), 'dpop_proof.typ'],
  ['is of another type', header({ typ: 'JWT' }), 'dpop_proof.typ'],
  ['is not signed', header({ alg: 'none' }), 'dpop_proof.alg'],
  ['is signed with a shared secret', HMAC, 'dpop_proof.alg'],
  ['is signed by an algorithm that is not named', header({ alg: 'ES384' }), 'dpop_proof.alg'],
  ['has no key', header({ jwk: undefined }), 'dpop_proof.jwk'],
  ['has a private key', header({ jwk: { ...holder.publicKey, d: 'AAAA' } }), 'dpop_proof.jwk'],
  ['has a shared key', header({ jwk: { kty: 'oct', k: 'AAAA' } }), 'dpop_proof.jwk'],
  ['is signed with another key than its own', header({ jwk: other.publicKey }), 'dpop_proof.signature'],
  ['has no jti', claims({ jti: undefined }), 'dpop_proof.missing_claim'],
  ['has no htm', claims({ htm: undefined }), 'dpop_proof.missing_claim'],
  ['has no htu', claims({ htu: undefined }), 'dpop_proof.missing_claim'],
  ['has no iat', claims({ iat: undefined }), 'dpop_proof.missing_claim'],
  ['is for another method', claims({ htm: 'POST' }), 'dpop_proof.htm'],
  ['is for another path', claims({ htu: `${URL_OF_REQUEST}/1` }), 'dpop_proof.htu'],
  ['is for another host', claims({ htu: 'https://other.example/orders' }), 'dpop_proof.htu'],
  ['has no ath', claims({ ath: undefined }), 'dpop_proof.ath'],
  ['is for another token', claims({ ath: hash('other') }), 'dpop_proof.ath'],
  ['is too old', () => undefined, 'dpop_proof.iat', -121],
  ['is of the future', () => undefined, 'dpop_proof.iat', 65],
  ['is by another key than the token\'s', (token) => proofFor(token, { key: other }), 'access_token.proof_required'],
].map(([flaw, dpop, code, iat]) => [flaw, iat === undefined ? dpop : (token) => proofFor(token, { claims: { iat: now() + iat } }), code])) {
  test(`a proof that ${flaw} is refused`, async () => {
    const { verifier, token, request } = await world()
    const bound = token()
    const fields = dpop(bound)
    const error = await rejection(verifier.verifyRequest(request(`DPoP ${bound}`, fields)))
    assert.deepEqual([error.code, error.responseStatus], [code, 401])
    const named = code.startsWith('dpop_proof') ? 'invalid_dpop_proof' : 'invalid_token'
    assert.deepEqual(error.responseHeaders, { 'www-authenticate': `DPoP error="${named}", algs="ES256", Bearer` })
    const text = inspect(error)
    for (const secret of [bound, hash(bound), ...[fields ?? []].flat().filter((field) => field.length > 9)]) assert(!text.includes(secret), text)
    // The token itself is as good as before.
    assert.equal((await verifier.verifyRequest(request(`DPoP ${bound}`, proofFor(bound)))).subject, 'u')
  })
}

test('a proof is accepted once', async () => {
  const { server, verifier, token, request } = await world()
  const bound = token()
  const shown = request(`DPoP ${bound}`, proofFor(bound))
  const verdicts = await Promise.all(Array.from({ length: 20 }, () => verifier.verifyRequest(shown).then(() => 'ok', ({ code }) => code)))
  assert.deepEqual(verdicts.sort(), ['dpop_proof.replayed', 'ok'].flatMap((verdict, at) => Array(at === 0 ? 19 : 1).fill(verdict)))
  // A store of the application knows it from the same name, in every process.
  const keys = []
  for (let count = 0; count < 2; count += 1) {
    const callerReplayVerifier = new AccessTokenVerifier(server, { audience: AUDIENCE, dpopReplay: 'caller' })
    keys.push((await callerReplayVerifier.verifyRequest(shown)).dpopReplayKey)
  }
  assert.equal(new Set(keys).size, 1)
})

test('a bound token is rejected as a bearer token, and an unbound token is rejected with a proof', async () => {
  const { verifier, token, request } = await world()
  const bound = token()
  for (const dpop of [undefined, proofFor(bound)]) {
    const error = await rejection(verifier.verifyRequest(request(`Bearer ${bound}`, dpop)))
    assert.equal(error.code, 'access_token.proof_required')
    assert.equal(error.challenge, 'Bearer error="invalid_token", DPoP algs="ES256"')
  }
  const unbound = token({})
  assert.equal((await verifier.verifyRequest(request(`Bearer ${unbound}`))).subject, 'u')
  const error = await rejection(verifier.verifyRequest(request(`DPoP ${unbound}`, proofFor(unbound))))
  assert.equal(error.code, 'access_token.proof_required')
  const certified = token({ cnf: { 'x5t#S256': 'print' } })
  assert.equal((await verifier.verifyRequest(request(`Bearer ${certified}`, undefined, { x5tS256: 'print' }))).subject, 'u')
  for (const more of [{}, { x5tS256: 'other' }]) {
    const refused = await rejection(verifier.verifyRequest(request(`Bearer ${certified}`, undefined, more)))
    assert.equal(refused.code, 'access_token.proof_required')
  }
})

test('a request without a token learns how to present one', async () => {
  const { verifier, token, request } = await world({ realm: 'orders' })
  for (const authorization of [undefined, [], 'Basic dTpw', token()]) {
    const error = await rejection(verifier.verifyRequest(request(authorization)))
    assert.deepEqual([error.code, error.responseStatus], ['access_token.missing', 401])
    assert.equal(error.challenge, 'Bearer realm="orders", DPoP realm="orders", algs="ES256"')
    assert(!inspect(error).includes(token()))
  }
  const twice = await rejection(verifier.verifyRequest(request([`Bearer ${token({})}`, `Bearer ${token({})}`])))
  assert.deepEqual([twice.code, twice.responseStatus], ['access_token.duplicate', 400])
  const scope = await rejection(verifier.verifyRequest(request(`Bearer ${token({})}`, undefined, { scope: 'admin' })))
  assert.deepEqual([scope.code, scope.responseStatus], ['access_token.insufficient_scope', 403])
})

test('mistakes are reported, at startup if possible', async () => {
  const { server, verifier, token, request } = await world()
  for (const [options, code] of [
    [{ dpopNonceKey: 'short' }, 'key.sealing'],
    [{ dpopAlgs: ['XS256'] }, 'form.malformed_parameter'],
  ]) assert.throws(() => new AccessTokenVerifier(server, { audience: AUDIENCE, ...options }), { code })
  assert.throws(() => new AccessTokenVerifier(server, { audience: AUDIENCE, dpopMaxAge: '1' }), TypeError)
  assert.throws(() => new AccessTokenVerifier(server, { audience: AUDIENCE, dpopReplay: 'never' }), TypeError)
  assert.throws(() => new AccessTokenVerifier(server, { audience: AUDIENCE, dpopNonceKeys: [] }), TypeError)
  await assert.rejects(verifier.verifyRequest(request('Bearer x', undefined, { jkt })), TypeError)
  await assert.rejects(verifier.verifyRequest({ url: URL_OF_REQUEST }), TypeError)
  await assert.rejects(verifier.verifyRequest(request([1])), TypeError)
  const bound = token()
  const relative = await rejection(verifier.verifyRequest({ ...request(`DPoP ${bound}`, proofFor(bound)), url: '/orders' }))
  assert.deepEqual([relative.code, relative.responseStatus, relative.responseHeaders], ['url.syntax', 500, {}])
})

test('opaque tokens need their proofs too', async () => {
  const base = await listen((_, reply) => reply.setHeader('content-type', 'application/json').end(JSON.stringify({
    active: true, client_id: 'c', sub: 'u', token_type: 'DPoP', cnf: { jkt },
  })))
  const server = Server.fromMetadata(base, { issuer: base, introspection_endpoint: `${base}/introspect` }, { transport: 'loopback_http' })
  const client = new Client(server, { clientId: 'api', clientSecret: 's' })
  const verifier = AccessTokenVerifier.introspecting(client, { audience: AUDIENCE, dpopMaxAge: 10, clockSkew: 0 })
  const request = (authorization, dpop) => ({ method: 'GET', url: URL_OF_REQUEST, authorization, dpop })
  assert.equal((await verifier.verifyRequest(request('DPoP opaque', proofFor('opaque')))).subject, 'u')
  const bearer = await rejection(verifier.verifyRequest(request('Bearer opaque')))
  assert.equal(bearer.code, 'access_token.proof_required')
  const old = await rejection(verifier.verifyRequest(request('DPoP opaque', proofFor('opaque', { claims: { iat: now() - 12 } }))))
  assert.equal(old.code, 'dpop_proof.iat')
})

test('step by step, by hand', async () => {
  const { verifier, token, request } = await world()
  const bound = token()
  const exchange = verifier.verifyRequestExchange(request(`DPoP ${bound}`, proofFor(bound)))
  const verified = await core.run(exchange)
  assert.equal(verified.subject, 'u')
})
