// API servers in workerd: requests verified, with the DPoP proofs of their tokens (RFC 9449), whose signatures WebCrypto
// verifies; `web-edge.test.mjs` runs them, which has installed the package where they are bundled.
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { request as send } from 'node:http'
import path from 'node:path'
import { after, test } from 'node:test'
import { AUDIENCE, URL_OF_REQUEST, flaws, hash, holderKey, issuerKey, jkt, keys, now, proofFor, thumbprintOf, tokenOf, unusable } from './api-request-proofs.mjs'
import { core, freePort, listen, root } from './helper.mjs'
import { bundled, served, snippets } from './web-worker.mjs'

const { Client, DpopKey, Server } = core

/** A Worker that verifies the request that it is told of: `POST` of `{ of, options, isOpaque, request }`. */
const code = `
  import { env } from 'cloudflare:workers'
  import * as core from 'oauth-core'

  const { ISSUER: issuer } = env
  const metadata = { issuer, jwks_uri: issuer + '/jwks', introspection_endpoint: issuer + '/introspect' }
  const server = core.Server.fromMetadata(issuer, metadata, { transport: 'loopback_http' })
  const verifiers = new Map()
  function made({ isOpaque, options }) {
    const all = { audience: '${AUDIENCE}', dpopAlgs: ['ES256'], ...options }
    if (!isOpaque) return new core.AccessTokenVerifier(server, all)
    return core.AccessTokenVerifier.introspecting(new core.Client(server, { clientId: 'api', clientSecret: 's' }), all)
  }
  export default { async fetch(asked) {
    const { of, request, ...how } = await asked.json()
    try {
      // One for all requests of a test, as an API has one.
      if (!verifiers.has(of)) verifiers.set(of, made(how))
      const { claims, ...told } = await verifiers.get(of).verifyRequest(request)
      return Response.json({ ...told, cnf: claims.cnf })
    } catch (error) {
      const { code = String(error), responseStatus: status, responseHeaders: headers } = error
      return Response.json({ code, status, headers, text: String(error) + error.stack })
    }
  } }
`

const sent = []
const issuer = await listen((request, reply) => {
  sent.push(request.url)
  const json = (value) => reply.setHeader('content-type', 'application/json').end(JSON.stringify(value))
  if (request.url === '/jwks') return json({ keys: [{ ...issuerKey.publicKey, kid: '1', alg: 'ES256' }] })
  if (request.url === '/token') return json({ access_token: tokenOf(issuer), token_type: 'DPoP', expires_in: 60 })
  return json({ active: true, client_id: 'c', sub: 'u', cnf: { jkt } })
})
const port = await freePort()
after(await served(port, await bundled(code), { ISSUER: issuer }))

let apis = 0
/** An API of its own, which verifies `GET` of one URL. */
function api(how = {}) {
  const of = String((apis += 1))
  return async (authorization, dpop, more = {}) => {
    const request = { method: 'GET', url: URL_OF_REQUEST, authorization, dpop, ...more }
    const reply = await fetch(`http://127.0.0.1:${port}/`, { method: 'POST', body: JSON.stringify({ of, request, ...how }) })
    return reply.json()
  }
}
const bound = tokenOf(issuer)
const challengeOf = (error) => `DPoP error="${error}", algs="ES256", Bearer`

test('a Worker accepts a DPoP-bound token with a proof of its key', async () => {
  const told = await api()(`dpop ${bound}`, [proofFor(bound)])
  assert.deepEqual([told.subject, told.clientId, told.scope, told.cnf], ['u', 'c', ['read'], { jkt }])
  assert.equal(told.dpopReplayKey.length, 43)
  assert.equal(told.dpopReplayChallenge, undefined)
})

test('a Worker verifies proofs with each algorithm', async () => {
  const verify = api({ options: { dpopAlgs: Object.keys(keys) } })
  for (const [alg, key] of Object.entries(keys)) {
    const token = tokenOf(issuer, { cnf: { jkt: thumbprintOf(key) } })
    const { subject, text } = await verify(`DPoP ${token}`, proofFor(token, { alg }))
    assert.equal(subject, 'u', `${alg} ${text}`)
  }
})

test('a Worker rejects each flawed proof as Node.js does, without showing it', async () => {
  const verify = api()
  for (const [flaw, dpop, wanted] of flaws) {
    const fields = dpop(bound)
    const { code, status, headers, text } = await verify(`DPoP ${bound}`, fields)
    assert.deepEqual([code, status], [wanted, 401], `${flaw} ${text}`)
    const named = wanted.startsWith('dpop_proof') ? 'invalid_dpop_proof' : 'invalid_token'
    assert.deepEqual(headers, { 'www-authenticate': challengeOf(named) }, flaw)
    const secrets = [bound, hash(bound), ...[fields ?? []].flat().filter((field) => field.length > 9)]
    for (const secret of secrets) assert(!text.includes(secret), text)
  }
})

test('a proof with an unusable key or signature is rejected with 401 by a Worker', async () => {
  const verify = api({ options: { dpopAlgs: Object.keys(keys) } })
  for (const [flaw, dpop] of unusable) {
    const { code, status, text } = await verify(`DPoP ${bound}`, dpop(bound))
    assert.deepEqual([code, status], ['dpop_proof.signature', 401], `${flaw} ${text}`)
  }
})

test('a Worker accepts one of twenty concurrent requests with the same proof', async () => {
  const verify = api()
  const dpop = proofFor(bound)
  const verdicts = await Promise.all(Array.from({ length: 20 }, () => verify(`DPoP ${bound}`, dpop)))
  const refused = verdicts.filter(({ subject }) => subject === undefined)
  assert.deepEqual(refused.map(({ code }) => code), Array(19).fill('dpop_proof.replayed'))
  assert.deepEqual(refused[0].headers, { 'www-authenticate': challengeOf('invalid_dpop_proof') })
  // Another proof for the same request is accepted.
  assert.equal((await verify(`DPoP ${bound}`, proofFor(bound))).subject, 'u')
})

test('a Worker requires a nonce that any Worker with the same key accepts', async () => {
  const options = { dpopNonceKey: randomBytes(32).toString('base64url') }
  const { code, headers } = await api({ options })(`DPoP ${bound}`, proofFor(bound))
  assert.equal(code, 'dpop_proof.nonce')
  assert.equal(headers['www-authenticate'], challengeOf('use_dpop_nonce'))
  const nonce = headers['dpop-nonce']
  assert.equal((await api({ options })(`DPoP ${bound}`, proofFor(bound, { claims: { nonce } }))).subject, 'u')
  const others = { dpopNonceKey: randomBytes(32).toString('base64url') }
  assert.equal((await api({ options: others })(`DPoP ${bound}`, proofFor(bound, { claims: { nonce } }))).code, 'dpop_proof.nonce')
})

test('a Worker rejects a bound token as a bearer token, and an unbound one with a proof', async () => {
  const verify = api()
  for (const dpop of [undefined, proofFor(bound)]) {
    const { code, headers } = await verify(`Bearer ${bound}`, dpop)
    assert.equal(code, 'access_token.proof_required')
    assert.equal(headers['www-authenticate'], 'Bearer error="invalid_token", DPoP algs="ES256"')
  }
  const unbound = tokenOf(issuer, {})
  assert.equal((await verify(`Bearer ${unbound}`)).subject, 'u')
  assert.equal((await verify(`DPoP ${unbound}`, proofFor(unbound))).code, 'access_token.proof_required')
  const certified = tokenOf(issuer, { cnf: { 'x5t#S256': 'print' } })
  assert.equal((await verify(`Bearer ${certified}`, undefined, { x5tS256: 'print' })).subject, 'u')
  for (const more of [{}, { x5tS256: 'other' }]) {
    assert.equal((await verify(`Bearer ${certified}`, undefined, more)).code, 'access_token.proof_required')
  }
  const { code, status } = await verify(undefined)
  assert.deepEqual([code, status], ['access_token.missing', 401])
})

test('a Worker requires proofs for opaque tokens, including cached ones', async () => {
  const verify = api({ isOpaque: true, options: { cacheMaxAge: 60 } })
  const before = sent.length
  assert.equal((await verify('DPoP opaque', proofFor('opaque'))).subject, 'u')
  assert.equal((await verify('DPoP opaque', proofFor('opaque'))).subject, 'u')
  assert.deepEqual(sent.slice(before), ['/introspect'])
  assert.equal((await verify('Bearer opaque')).code, 'access_token.proof_required')
  const old = proofFor('opaque', { claims: { iat: now() - 121 } })
  assert.equal((await verify('DPoP opaque', old)).code, 'dpop_proof.iat')
})

test('invalid API settings of a Worker are reported before any token is verified', async () => {
  for (const [options, wanted] of [
    [{ dpopNonceKey: 'short' }, 'key.sealing'],
    [{ dpopAlgs: ['XS256'] }, 'form.malformed_parameter'],
    [{ dpopAlgs: ['HS256'] }, 'form.malformed_parameter'],
    [{ algs: ['HS256'] }, 'form.malformed_parameter'],
    [{ algs: [] }, 'form.malformed_parameter'],
  ]) assert.equal((await api({ options })('Bearer x')).code, wanted)
  const { code, status } = await api()(`DPoP ${bound}`, proofFor(bound), { url: '/orders' })
  assert.deepEqual([code, status], ['url.syntax', 500])
})

const [page] = snippets(path.join(root, 'crates/oauth-guide/chapters/api_servers.md'), 'js worker')

/** The Worker of the guide, behind this origin; its store is that of the tests. */
async function guided() {
  const own = await freePort()
  const base = `http://127.0.0.1:${own}`
  const here = page.replaceAll('./store.js', './records.mjs').replace('discover(env.ISSUER)', `discover(env.ISSUER, { transport: 'loopback_http' })`)
  after(await served(own, await bundled(here), { ISSUER: metadataOf, ORIGIN: base }))
  return { base, own }
}
const metadataOf = await listen((request, reply) => {
  const isJwks = request.url === '/jwks'
  const known = { issuer: metadataOf, jwks_uri: `${metadataOf}/jwks`, token_endpoint: `${metadataOf}/token`, response_types_supported: ['code'] }
  const json = (value) => reply.setHeader('content-type', 'application/json').end(JSON.stringify(value))
  if (request.url === '/token') return json({ access_token: tokenOf(metadataOf), token_type: 'DPoP', expires_in: 60 })
  return json(isJwks ? { keys: [{ ...issuerKey.publicKey, kid: '1', alg: 'ES256' }] } : known)
})

test('the API server example of the guide rejects a proof seen by another Worker', async () => {
  const { base, own } = await guided()
  const server = Server.fromMetadata(metadataOf, { issuer: metadataOf, token_endpoint: `${metadataOf}/token` }, { transport: 'loopback_http' })
  const client = new Client(server, { clientId: 'c', clientSecret: 's', dpopKey: new DpopKey(holderKey.privateKey) })
  const source = client.clientCredentials({ origins: [base] })
  for (const path of ['/orders', '/orders?page=2']) {
    const reply = await source.fetch(base + path)
    assert.deepEqual([reply.status, await reply.text()], [200, 'Orders of u'])
  }

  const token = tokenOf(metadataOf)
  const ask = (headers) => new Promise((done, fail) => {
    send({ host: '127.0.0.1', port: own, path: '/orders', headers }, (reply) => {
      reply.resume()
      reply.once('end', () => done([reply.statusCode, reply.headers['www-authenticate']]))
    }).once('error', fail).end()
  })
  const challenge = (error) => `DPoP error="${error}", algs="EdDSA ES256 PS256", Bearer`
  const shown = () => proofFor(token, { claims: { htu: `${base}/orders` } })
  const authorization = `DPoP ${token}`
  // Over the sockets of HTTP: only the store knows the proof.
  const dpop = shown()
  const all = await Promise.all(Array.from({ length: 20 }, () => ask({ authorization, dpop })))
  assert.deepEqual(all.map(([status]) => status).sort(), [200, ...Array(19).fill(401)])
  assert.equal(all.find(([status]) => status === 401)[1], challenge('invalid_dpop_proof'))
  assert.deepEqual(await ask({ authorization, dpop: shown() }), [200, undefined])
  // Two header fields are joined in transit, but are rejected as two proofs.
  assert.deepEqual(await ask({ authorization, dpop: [shown(), shown()] }), [401, challenge('invalid_dpop_proof')])
  assert.deepEqual(await ask({ authorization: `Bearer ${token}` }), [401, 'Bearer error="invalid_token", DPoP algs="EdDSA ES256 PS256"'])
})
