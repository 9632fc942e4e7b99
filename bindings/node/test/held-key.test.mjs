// External DPoP keys: a key service signs each proof, and nothing else has the key.
import assert from 'node:assert/strict'
import { generateKeyPairSync, sign as signed, webcrypto } from 'node:crypto'
import { createRequire } from 'node:module'
import path from 'node:path'
import { test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { inspect } from 'node:util'
import { Browser, core, fapiProvider, listen, root } from './helper.mjs'

const tools = createRequire(path.join(root, 'bindings/node/package.json'))
const { EmbeddedJWK, jwtVerify } = await import(pathToFileURL(tools.resolve('jose')))

const { Client, DpopKey, Server, discover, privateKeyJwt, run } = core

/** A key service as banks use: it signs, and exposes its public key. */
function keyService() {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const requests = []
  const service = {
    asked: requests,
    jwk: publicKey.export({ format: 'jwk' }),
    signer: (dsaEncoding) => async (step) => {
      requests.push([step.kind, step.alg])
      return signed('sha256', step.signingInput, { key: privateKey, dsaEncoding })
    },
  }
  return { ...service, sign: service.signer('ieee-p1363') }
}

/** A token endpoint and an API that each require a nonce in proofs. */
async function proving(dpopKey, options = {}) {
  const seen = []
  const base = await listen(async (request, response) => {
    const { payload, protectedHeader } = await jwtVerify(request.headers.dpop, EmbeddedJWK, { typ: 'dpop+jwt' })
    seen.push({ path: request.url, jwk: protectedHeader.jwk })
    const isToken = request.url === '/token'
    const headers = { 'content-type': 'application/json' }
    if (payload.nonce === undefined) {
      headers['dpop-nonce'] = isToken ? 'for-tokens' : 'for-the-api'
      if (!isToken) headers['www-authenticate'] = 'DPoP error="use_dpop_nonce", algs="ES256"'
      return response.writeHead(isToken ? 400 : 401, headers).end('{"error":"use_dpop_nonce"}')
    }
    const body = isToken ? { access_token: 'a~t', token_type: 'DPoP', expires_in: 600 } : { well: true }
    response.writeHead(200, headers).end(JSON.stringify(body))
  })
  const place = Server.fromMetadata(base, { issuer: base, token_endpoint: `${base}/token` }, { transport: 'loopback_http' })
  const client = new Client(place, { clientId: 'id', clientSecret: 's'.repeat(32), dpopKey, ...options })
  return { base, seen, us: client, source: client.clientCredentials({ origins: [base] }) }
}

test('a FAPI 2.0 client logs in and calls the API with an external DPoP key', async () => {
  const { issuer, clients } = await fapiProvider()
  const server = await discover(issuer, { transport: 'loopback_http' })
  const redirectUri = 'http://127.0.0.1/callback'
  for (const options of [{}, { fetch }]) {
    const service = keyService()
    const client = new Client(server, {
      clientId: 'security', clientAuth: privateKeyJwt(clients.security.private_key, { alg: 'ES256' }),
      profile: 'fapi2_security', dpopKey: DpopKey.held(service.jwk, service.sign), ...options,
    })
    const { url, flow } = await client.beginAuthorization({ redirectUri, scope: 'openid read' })
    const { url: home } = await new Browser(({ href }) => href.startsWith(redirectUri)).open(url)
    const renewed = await client.refresh({ tokens: await client.redeem(flow, home) })
    assert.equal(renewed.tokenType, 'DPoP')
    const source = client.source(renewed, { origins: [issuer] })
    assert.equal((await (await source.fetch(`${issuer}/me`)).json()).sub, 'somebody')
    assert.deepEqual(new Set(service.asked.map(String)), new Set(['sign,ES256']))
  }
})

test('each kind of call signs its proof with the key service', async () => {
  for (const options of [{}, { fetch }]) {
    const service = keyService()
    const { base, seen, us: client, source } = await proving(DpopKey.held(JSON.stringify(service.jwk), service.sign, { alg: 'ES256' }), options)
    assert.equal((await source.fetch(`${base}/things`)).status, 200)
    assert.equal((await source.fetch(`${base}/things`, { method: 'POST', body: 'x' })).status, 200)
    // A custom driver can ignore this, or sign itself.
    assert.equal((await run(client.exchange.clientCredentials())).tokenType, 'DPoP')
    assert.equal((await run(client.exchange.clientCredentials(), { sign: service.sign })).tokenType, 'DPoP')
    const step = client.exchange.clientCredentials().begin()
    assert.deepEqual(Object.keys(step).sort(), ['alg', 'keyId', 'kind', 'signingInput'])
    assert.deepEqual(seen.map(({ jwk }) => jwk), seen.map(() => service.jwk))
    assert.equal(service.asked.length, seen.length)
  }
})

test('a non-extractable WebCrypto key signs proofs', async () => {
  const ecdsa = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
  const { privateKey, publicKey } = await webcrypto.subtle.generateKey(ecdsa, false, ['sign'])
  const { kty, crv, x, y } = await webcrypto.subtle.exportKey('jwk', publicKey)
  const dpopKey = DpopKey.held({ kty, crv, x, y }, (step) => webcrypto.subtle.sign(ecdsa, privateKey, step.signingInput))
  const { base, source } = await proving(dpopKey)
  assert.equal((await source.fetch(`${base}/things`)).status, 200)
})

test('nothing is sent if the key service fails', async () => {
  for (const options of [{}, { fetch }]) {
    const service = keyService()
    let isDown = true
    const sign = (step) => {
      if (isDown) throw new RangeError('a secret')
      return service.sign(step)
    }
    const dpopKey = DpopKey.held(service.jwk, sign)
    const { seen, source } = await proving(dpopKey, options)
    const down = (error) => {
      assert.equal(error.code, 'lost.unsent')
      assert.equal(inspect(error, { depth: 9 }).includes('a secret'), false)
      return true
    }
    await assert.rejects(source.token(), down)
    assert.equal(seen.length, 0)
    // That one waits a moment before it asks again.
    const other = await proving(dpopKey, options)
    isDown = false
    await other.source.token()
    const before = other.seen.length
    isDown = true
    await assert.rejects(other.source.fetch(`${other.base}/things`), down)
    assert.equal(other.seen.length, before)
  }
})

test('invalid signatures and keys are rejected', async () => {
  const service = keyService()
  // Key services return DER; JWS requires r and s.
  const { seen, source } = await proving(DpopKey.held(service.jwk, service.signer('der')))
  await assert.rejects(source.token(), { code: 'client_auth.signature_length' })
  const text = await proving(DpopKey.held(service.jwk, () => 'x'))
  await assert.rejects(text.source.token(), { code: 'lost.unsent' })
  assert.equal(seen.length + text.seen.length, 0)
  assert.throws(() => DpopKey.held(service.jwk, 'x'), /sign must be a function/)
  for (const [jwk, alg, code] of [
    [{ ...service.jwk, d: 'AA' }, 'ES256', 'key.malformed'],
    ['{}', 'ES256', 'key.malformed'],
    [service.jwk, 'ES384', 'key.algorithm'],
    [service.jwk, 'HS256', 'key.algorithm'],
  ]) assert.throws(() => DpopKey.held(jwk, service.sign, { alg }), { code })
})

test('an external key cannot be exported', () => {
  const service = keyService()
  const key = DpopKey.held(service.jwk, service.sign)
  assert.throws(() => key.privatePem(), { code: 'misuse.setup' })
  assert.deepEqual(key.publicJwk(), service.jwk)
  assert.equal(inspect(key), `DpopKey { thumbprint: '${key.thumbprint}' }`)
})
