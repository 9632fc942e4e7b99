// An API verifies requests: access tokens and their DPoP proofs (RFC 9449).
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, test } from 'node:test'
import { inspect } from 'node:util'
import { AUDIENCE, URL_OF_REQUEST, flaws, hash, holderKey, issuerKey, jkt, keys, now, proofFor, tokenOf, unusable } from './api-request-proofs.mjs'
import { core, listen, rejection } from './helper.mjs'

const { AccessTokenVerifier, Client, DpopKey, FileStore, MemoryStore, Server, SqliteStore } = core

/** A server that issues bound tokens for client credentials, and an API at the same address. */
async function world(options = {}) {
  const seen = []
  let verifier
  const token = (more) => tokenOf(base, more)
  const base = await listen(async (request, reply) => {
    const json = (value) => reply.setHeader('content-type', 'application/json').end(JSON.stringify(value))
    if (request.url === '/jwks') return json({ keys: [{ ...issuerKey.publicKey, kid: '1', alg: 'ES256' }] })
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
  const client = new Client(server, { clientId: 'c', clientSecret: 's', dpopKey: new DpopKey(holderKey.privateKey) })
  const request = (authorization, dpop, more) => ({ method: 'GET', url: URL_OF_REQUEST, authorization, dpop, ...more })
  return { base, server, verifier, client, token, seen, request }
}

test('DPoP proofs of this client are accepted for every URL and method', async () => {
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

test('a client retries with the nonce that the API requires, and reuses it', async () => {
  const { base, client, seen } = await world({ dpopNonceKey: randomBytes(32).toString('base64url') })
  const source = client.clientCredentials({ origins: [base] })
  for (let count = 0; count < 3; count += 1) assert.equal((await source.fetch(`${base}/orders`)).status, 200)
  assert.deepEqual(seen, ['dpop_proof.nonce', 'ok', 'ok', 'ok'])
})

test('a proof without a nonce is rejected with a challenge that contains one', async () => {
  const dpopNonceKey = randomBytes(32).toString('base64url')
  const { server, verifier, token, request } = await world({ dpopNonceKey })
  const bound = token()
  const error = await rejection(verifier.verifyRequest(request(`DPoP ${bound}`, proofFor(bound))))
  assert.deepEqual([error.code, error.responseStatus], ['dpop_proof.nonce', 401])
  const { 'www-authenticate': challenge, 'dpop-nonce': nonce } = error.responseHeaders
  assert.equal(challenge, 'DPoP error="use_dpop_nonce", algs="ES256", Bearer')
  assert.equal(challenge, error.challenge)
  // Another process of the same API accepts it, and one with another key does not.
  const bytes = Buffer.from(dpopNonceKey, 'base64url')
  for (const [key, code] of [
    [dpopNonceKey, undefined], [bytes, undefined], [new Uint8Array(bytes), undefined],
    [randomBytes(32).toString('base64url'), 'dpop_proof.nonce'], [randomBytes(32), 'dpop_proof.nonce'],
  ]) {
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

for (const [flaw, dpop, code] of flaws) {
  test(`a proof that ${flaw} is rejected`, async () => {
    const { verifier, token, request } = await world()
    const bound = token()
    const fields = dpop(bound)
    const error = await rejection(verifier.verifyRequest(request(`DPoP ${bound}`, fields)))
    assert.deepEqual([error.code, error.responseStatus], [code, 401])
    const named = code.startsWith('dpop_proof') ? 'invalid_dpop_proof' : 'invalid_token'
    assert.deepEqual(error.responseHeaders, { 'www-authenticate': `DPoP error="${named}", algs="ES256", Bearer` })
    const text = inspect(error)
    for (const secret of [bound, hash(bound), ...[fields ?? []].flat().filter((field) => field.length > 9)]) assert(!text.includes(secret), text)
    // The token itself remains valid.
    assert.equal((await verifier.verifyRequest(request(`DPoP ${bound}`, proofFor(bound)))).subject, 'u')
  })
}

test('proofs with each allowed algorithm are accepted', async () => {
  const { verifier, token, request } = await world({ dpopAlgs: Object.keys(keys) })
  for (const [alg, key] of Object.entries(keys)) {
    const bound = token({ cnf: { jkt: new DpopKey(key.privateKey, { alg }).thumbprint } })
    assert.equal((await verifier.verifyRequest(request(`DPoP ${bound}`, proofFor(bound, { alg })))).subject, 'u', alg)
  }
})

test('an unusable key or signature is rejected with 401', async () => {
  const { verifier, token, request } = await world({ dpopAlgs: Object.keys(keys) })
  const bound = token()
  for (const [flaw, dpop] of unusable) {
    const error = await rejection(verifier.verifyRequest(request(`DPoP ${bound}`, dpop(bound))))
    assert.deepEqual([error.code, error.responseStatus], ['dpop_proof.signature', 401], flaw)
  }
})

test('a replayed proof is rejected', async () => {
  const { server, verifier, token, request } = await world()
  const bound = token()
  const shown = request(`DPoP ${bound}`, proofFor(bound))
  const verdicts = await Promise.all(Array.from({ length: 20 }, () => verifier.verifyRequest(shown).then(() => 'ok', ({ code }) => code)))
  assert.deepEqual(verdicts.sort(), [...Array(19).fill('dpop_proof.replayed'), 'ok'])
})

/** Stores as processes open them: each has an object of its own for the same records. */
const storeOpeners = {
  MemoryStore() {
    const store = new MemoryStore()
    return () => store
  },
  FileStore: () => opener(FileStore, 'proofs'),
  SqliteStore: () => opener(SqliteStore, 'proofs.db'),
}
function opener(Store, name) {
  const folder = mkdtempSync(path.join(tmpdir(), 'oauth-core-'))
  after(() => rmSync(folder, { recursive: true, force: true }))
  return () => new Store(path.join(folder, name))
}

for (const [kind, makeOpener] of Object.entries(storeOpeners)) {
  test(`a proof is accepted once across processes that share a store: ${kind}`, async () => {
    const { server, token, request } = await world()
    const open = makeOpener()
    /** Stand-ins for processes: each returns the status of its response, and the challenge of a refusal. */
    const processes = Array.from({ length: 4 }, () => {
      const verifier = new AccessTokenVerifier(server, { audience: AUDIENCE, dpopAlgs: ['ES256'], dpopReplay: 'caller' })
      const store = open()
      return async (shown) => {
        const { dpopReplayKey: key, dpopForgetAt: until, dpopReplayChallenge: challenge } = await verifier.verifyRequest(shown)
        const isNew = (await store.save(`dpop-proof:${key}`, 'received', 0, undefined, until)) !== undefined
        return isNew ? [200, undefined] : [401, challenge]
      }
    })
    const bound = token()
    const challenge = 'DPoP error="invalid_dpop_proof", algs="ES256", Bearer'
    for (let count = 0; count < 2; count += 1) {
      const shown = request(`DPoP ${bound}`, proofFor(bound))
      const verdicts = await Promise.all([...processes, ...processes].map((verdict) => verdict(shown)))
      assert.deepEqual(verdicts.sort(), [[200, undefined], ...Array(7).fill([401, challenge])])
    }
    // A verifier that detects replays itself returns no replay challenge.
    const verifierDetectingReplays = new AccessTokenVerifier(server, { audience: AUDIENCE })
    assert.equal((await verifierDetectingReplays.verifyRequest(request(`DPoP ${bound}`, proofFor(bound)))).dpopReplayChallenge, undefined)
  })
}

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

test('a request without a token is rejected with a challenge', async () => {
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

test('invalid options and arguments are rejected, at startup if possible', async () => {
  const { server, verifier, token, request } = await world()
  for (const [options, code] of [
    [{ dpopNonceKey: 'short' }, 'key.sealing'],
    [{ dpopNonceKey: randomBytes(31) }, 'key.sealing'],
    [{ dpopAlgs: ['XS256'] }, 'form.malformed_parameter'],
    // No usable algorithm: it must not be read as "no restriction".
    [{ dpopAlgs: ['HS256'] }, 'form.malformed_parameter'],
    [{ dpopAlgs: [] }, 'form.malformed_parameter'],
    [{ algs: ['HS256'] }, 'form.malformed_parameter'],
    [{ algs: ['ES256', 'HS256'] }, 'form.malformed_parameter'],
    [{ algs: [] }, 'form.malformed_parameter'],
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

test('opaque DPoP-bound tokens require a valid proof', async () => {
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

test('verifyRequestExchange verifies a request when it is run', async () => {
  const { verifier, token, request } = await world()
  const bound = token()
  const exchange = verifier.verifyRequestExchange(request(`DPoP ${bound}`, proofFor(bound)))
  const verified = await core.run(exchange)
  assert.equal(verified.subject, 'u')
})
