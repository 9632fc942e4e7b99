// Keys in workerd: WebCrypto signs for clients, and for tokens that are bound; `web-edge.test.mjs` runs them, which has
// installed the package where they are bundled.
import assert from 'node:assert/strict'
import { createPrivateKey, generateKeyPairSync } from 'node:crypto'
import { readFileSync, readdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import { after, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { core, freePort, listen, oidcProvider, root, twins } from './helper.mjs'
import { Browser } from './web-checks.mjs'
import { bundled, chapter, served, snippets } from './web-worker.mjs'

const tools = createRequire(path.join(root, 'bindings/node/package.json'))
const { EmbeddedJWK, jwtVerify } = await import(pathToFileURL(tools.resolve('jose')))

const SECRET = 's'.repeat(64)
const kinds = {
  'P-256': generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  'P-384': generateKeyPairSync('ec', { namedCurve: 'P-384' }),
  'P-521': generateKeyPairSync('ec', { namedCurve: 'P-521' }),
  Ed25519: generateKeyPairSync('ed25519'),
  RSA: generateKeyPairSync('rsa', { modulusLength: 2048 }),
}
const RSA = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512']
const algs = { 'P-256': ['ES256'], 'P-384': ['ES384'], 'P-521': ['ES512'], Ed25519: ['Ed25519', 'EdDSA'], RSA }
const beside = { 'P-256': ['sec1'], 'P-384': ['sec1'], 'P-521': ['sec1'], Ed25519: [], RSA: ['pkcs1'] }

/** A key in each supported format. */
function forms(kind) {
  const { privateKey } = kinds[kind]
  const pem = (type) => privateKey.export({ type, format: 'pem' })
  return { pkcs8: pem('pkcs8'), ...Object.fromEntries(beside[kind].map((type) => [type, pem(type)])), jwk: JSON.stringify(privateKey.export({ format: 'jwk' })) }
}

const pkcs8 = (kind) => forms(kind).pkcs8

/** A Worker that runs the commands `{ use, ... }` that are posted to it. */
const code = `
  import { env } from 'cloudflare:workers'
  import * as core from 'oauth-core'
  import { store } from './records.mjs'
  export { StoredRecord } from './records.mjs'

  const at = (issuer) => core.Server.fromMetadata(issuer, { issuer, token_endpoint: issuer + '/token' }, { transport: 'loopback_http' })
  const authOf = ({ key, secret, alg, kid, passphrase }) =>
    (secret === undefined ? core.privateKeyJwt(key, { alg, kid, passphrase }) : core.clientSecretJwt(secret, { alg }))
  const clientOf = ({ issuer, ...how }) => new core.Client(at(issuer), { clientId: 'me', clientAuth: authOf(how) })
  const uses = {
    async token(given) { return (await clientOf(given).clientCredentials().token()).accessToken },
    async negotiated({ issuer, secret, methods, isOfFile }) {
      const metadata = { issuer, token_endpoint: issuer + '/token', token_endpoint_auth_methods_supported: methods }
      const server = core.Server.fromMetadata(issuer, metadata, { transport: 'loopback_http' })
      if (!isOfFile) return (await new core.Client(server, { clientId: 'me', clientSecret: secret }).clientCredentials().token()).accessToken
      const text = JSON.stringify({ issuer, client_id: 'me', client_secret: secret })
      return (await (await core.Client.fromJson(text, { transport: 'loopback_http' })).clientCredentials().token()).accessToken
    },
    async named({ issuer, headers }) {
      const client = new core.Client(at(issuer), { clientId: 'me', clientSecret: 's', headers })
      return (await client.clientCredentials({ origins: [issuer] }).fetch(issuer + '/things', { headers })).status
    },
    async discovered({ issuer, clientId, scope, ...how }) {
      const server = await core.discover(issuer, { transport: 'loopback_http' })
      const client = new core.Client(server, { clientId, clientAuth: authOf(how) })
      return typeof (await client.clientCredentials({ scope }).token()).accessToken
    },
    async file({ issuer, key }) {
      const text = JSON.stringify({ issuer, client_id: 'me', private_key: key, key_id: 'k1' })
      const settings = core.Client.fromJson(text, { transport: 'loopback_http' })
      return (await (await settings).clientCredentials().token()).accessToken
    },
    clients({ key, audience, issuers }) {
      const clientAuth = core.privateKeyJwt(key, { audience })
      return issuers.map((issuer) => new core.Client(at(issuer), { clientId: 'me', clientAuth }).clientId)
    },
    jwks: ({ key, kid, passphrase }) => core.privateKeyJwt(key, { kid, passphrase }).publicJwks(),
    dpop: ({ key, alg, passphrase }) => new core.DpopKey(key, { alg, passphrase }).thumbprint,
    async opened({ name, alg }) {
      const keys = await Promise.all(Array.from({ length: 4 }, () => core.DpopKey.open(store, name, { alg })))
      return keys.map((key) => key.thumbprint)
    },
    async made({ issuer, alg }) {
      const key = await core.DpopKey.generate({ alg })
      const client = new core.Client(at(issuer), { clientId: 'me', clientSecret: 's', dpopKey: key })
      const { status } = await client.clientCredentials({ origins: [issuer] }).fetch(issuer + '/things')
      const pem = key.privatePem()
      return { status, pem, thumbprint: key.thumbprint }
    },
    async unmade() {
      const { generateKey } = crypto.subtle
      crypto.subtle.generateKey = async () => { throw new DOMException('no such curve', 'NotSupportedError') }
      try {
        await core.DpopKey.generate()
      } finally {
        crypto.subtle.generateKey = generateKey
      }
    },
    pem: ({ key, alg }) => new core.DpopKey(key, { alg }).privatePem(),
    heldPem: ({ key }) => core.DpopKey.held(key, () => new Uint8Array(64)).privatePem(),
    record: ({ name }) => store.load('dpop-key:' + name),
    async put({ name, record }) { return store.save('dpop-key:' + name, record, 0) },
    async bound({ issuer, key, alg, isHeld }) {
      const { privateKey, publicKey } = await crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign', 'verify'])
      const { kty, crv, x, y } = await crypto.subtle.exportKey('jwk', publicKey)
      const sign = ({ signingInput }) => crypto.subtle.sign({ name: 'ECDSA', hash: 'SHA-256' }, privateKey, signingInput)
      const dpopKey = isHeld ? core.DpopKey.held({ kty, crv, x, y }, sign) : new core.DpopKey(key, { alg })
      const client = new core.Client(at(issuer), { clientId: 'me', clientSecret: 's', dpopKey })
      const source = client.clientCredentials({ origins: [issuer] })
      return (await source.fetch(issuer + '/things', { method: 'POST', body: 'x' })).status
    },
    async down({ issuer, key }) {
      const { kty, crv, x, y } = JSON.parse(key)
      const sign = () => { throw new RangeError('a secret') }
      const client = new core.Client(at(issuer), { clientId: 'me', clientSecret: 's', dpopKey: core.DpopKey.held({ kty, crv, x, y }, sign) })
      return (await client.clientCredentials().token()).accessToken
    },
  }
  export default { async fetch(request) {
    const { use, ...given } = await request.json()
    try {
      return Response.json({ said: await uses[use](given) ?? null })
    } catch (error) {
      return Response.json({ code: error.code ?? String(error), text: String(error) + ' ' + String(error.cause ?? '') })
    }
  } }
`
const port = await freePort()
after(await served(port, await bundled(code), {}))

async function worker(use, options = {}) {
  const reply = await fetch(`http://127.0.0.1:${port}/`, { method: 'POST', body: JSON.stringify({ use, ...options }) })
  return reply.json()
}

/** A token endpoint that checks assertions with this key: the token says how each was signed, and by which name. */
async function checking(key) {
  const base = await listen(async (request, response) => {
    const form = new URLSearchParams(Buffer.concat(await request.toArray()).toString())
    const options = { issuer: 'me', subject: 'me', audience: base, typ: 'client-authentication+jwt' }
    const verified = await jwtVerify(form.get('client_assertion') ?? '', key, options).catch((error) => ({ error }))
    response.setHeader('content-type', 'application/json')
    if (verified.error) return response.writeHead(401).end(JSON.stringify({ error: 'invalid_client', error_description: verified.error.code }))
    const { alg, kid = '' } = verified.protectedHeader
    response.end(JSON.stringify({ access_token: `${alg}.${kid}`, token_type: 'Bearer', expires_in: 600 }))
  })
  return base
}

for (const kind of Object.keys(kinds)) {
  test(`a Worker signs with a ${kind} key in each format and with each algorithm`, async () => {
    const issuer = await checking(kinds[kind].publicKey)
    for (const [form, key] of Object.entries(forms(kind))) {
      for (const alg of algs[kind]) assert.deepEqual(await worker('token', { issuer, key, alg }), { said: `${alg}.` }, form)
    }
    const other = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ type: 'pkcs8', format: 'pem' })
    assert.equal((await worker('token', { issuer, key: other })).code, 'denied.invalid_client')
  })
}

test('a key with a custom audience is rejected at a second server in a Worker', async () => {
  // A server could have an assertion made out to another (RFC 10070).
  const [first, second] = ['https://a.example', 'https://b.example']
  const clients = (issuers, audience) => worker('clients', { key: pkcs8('P-256'), audience, issuers })
  assert.deepEqual(await clients([first, second]), { said: ['me', 'me'] })
  // As often as wanted at that server.
  assert.deepEqual(await clients([first, first], `${first}/token`), { said: ['me', 'me'] })
  assert.equal((await clients([first, second], `${first}/token`)).code, 'key.used_at_two_servers')
})

test('a PKCS#8 EC key without its public key signs in a Worker', async () => {
  const { d, x, y } = kinds['P-256'].privateKey.export({ format: 'jwk' })
  assert.ok(x && y)
  // A new SEC1 without the point, in PKCS#8 (RFC 5915 section 3).
  const inner = Buffer.concat([Buffer.from('302502010104 20'.replace(' ', ''), 'hex'), Buffer.from(d, 'base64url')])
  const head = Buffer.from('020100301306072a8648ce3d020106082a8648ce3d0301070427', 'hex')
  const der = Buffer.concat([Buffer.from([0x30, head.length + inner.length]), head, inner])
  const key = `-----BEGIN PRIVATE KEY-----\n${der.toString('base64')}\n-----END PRIVATE KEY-----\n`
  const issuer = await checking(kinds['P-256'].publicKey)
  assert.deepEqual(await worker('token', { issuer, key }), { said: 'ES256.' })
  assert.equal((await worker('dpop', { key })).code, 'misuse.not_supported')
})

test('a Worker signs assertions with HMAC', async () => {
  const issuer = await checking(new TextEncoder().encode(SECRET))
  for (const alg of ['HS256', 'HS384', 'HS512']) assert.deepEqual(await worker('token', { issuer, secret: SECRET, alg }), { said: `${alg}.` })
  assert.equal((await worker('token', { issuer, secret: 'short' })).code, 'jws.key_too_small')
})

test('a Worker uses client_secret_jwt if the server accepts no other method with a secret', async () => {
  const issuer = await checking(new TextEncoder().encode(SECRET))
  const methods = ['client_secret_jwt']
  assert.deepEqual(await worker('negotiated', { issuer, secret: SECRET, methods }), { said: 'HS256.' })
  assert.equal((await worker('negotiated', { issuer, secret: 'short', methods })).code, 'jws.key_too_small')
  // If client_secret_post is supported, the secret is sent, which this server rejects.
  const sent = await worker('negotiated', { issuer, secret: SECRET, methods: [...methods, 'client_secret_post'] })
  assert.equal(sent.code, 'denied.invalid_client')
  const discovering = await listen(async (request, response) => {
    response.setHeader('content-type', 'application/json')
    if (request.url !== '/token') {
      const more = { authorization_endpoint: `${discovering}/authorize`, jwks_uri: `${discovering}/jwks`, response_types_supported: ['code'] }
      return response.end(JSON.stringify({ issuer: discovering, token_endpoint: `${discovering}/token`, token_endpoint_auth_methods_supported: methods, ...more }))
    }
    const form = new URLSearchParams(Buffer.concat(await request.toArray()).toString())
    const { protectedHeader: { alg } } = await jwtVerify(form.get('client_assertion'), new TextEncoder().encode(SECRET), { audience: discovering })
    response.end(JSON.stringify({ access_token: alg, token_type: 'Bearer' }))
  })
  assert.deepEqual(await worker('negotiated', { issuer: discovering, secret: SECRET, isOfFile: true }), { said: 'HS256' })
})

test('requests of a Worker have the User-Agent of the package unless overridden', async () => {
  const seen = []
  const issuer = await listen((request, response) => {
    seen.push([request.url, request.headers['user-agent']])
    response.setHeader('content-type', 'application/json').end('{"access_token":"t","token_type":"Bearer"}')
  })
  assert.deepEqual(await worker('named', { issuer }), { said: 200 })
  assert.deepEqual(await worker('named', { issuer, headers: { 'User-Agent': 'shop' } }), { said: 200 })
  const { version } = JSON.parse(readFileSync(path.join(root, 'bindings/node/package.json'), 'utf8'))
  const ours = `oauth-core/${version}`
  assert.deepEqual(seen, [['/token', ours], ['/things', ours], ['/token', 'shop'], ['/things', 'shop']])
})

test('a Worker decrypts an encrypted key with its passphrase', async () => {
  for (const [kind, cipher] of [['P-256', 'aes-256-cbc'], ['RSA', 'aes-128-cbc'], ['Ed25519', 'aes-192-cbc']]) {
    const key = kinds[kind].privateKey.export({ type: 'pkcs8', format: 'pem', cipher, passphrase: 'correct' })
    const issuer = await checking(kinds[kind].publicKey)
    const [alg] = algs[kind]
    assert.deepEqual(await worker('token', { issuer, key, alg, passphrase: 'correct' }), { said: `${alg}.` })
    assert.equal((await worker('token', { issuer, key, alg, passphrase: 'wrong' })).code, 'key.passphrase')
    assert.equal((await worker('token', { issuer, key, alg })).code, 'key.encrypted')
    // PKCS#8 of Ed25519 is without its public half.
    if (kind === 'Ed25519') continue
    assert.deepEqual((await worker('jwks', { key, passphrase: 'correct' })).said, core.privateKeyJwt(key, { passphrase: 'correct' }).publicJwks())
  }
  const file = (name) => readFileSync(path.join(root, `crates/oauth-crypto/tests/encrypted/${name}.pem`), 'utf8')
  const thumbprint = new core.DpopKey(file('aes256'), { passphrase: 'correct' }).thumbprint
  assert.deepEqual(await worker('dpop', { key: file('aes256'), passphrase: 'correct' }), { said: thumbprint })
  for (const name of readdirSync(path.join(root, 'crates/oauth-crypto/tests/encrypted')).map((name) => name.replace('.pem', ''))) {
    let expected
    try {
      expected = { said: new core.DpopKey(file(name), { passphrase: 'correct' }).thumbprint }
    } catch ({ code }) {
      expected = { code }
    }
    const { said: output, code } = await worker('dpop', { key: file(name), passphrase: 'correct' })
    assert.deepEqual(output === undefined ? { code } : { said: output }, expected, name)
  }
})

test('a Worker rotates a client key at oidc-provider', async () => {
  const [young, old] = [pkcs8('P-256'), pkcs8('RSA')]
  const { said: jwks } = await worker('jwks', { key: [young, old] })
  assert.deepEqual(jwks, core.privateKeyJwt([young, old]).publicJwks())
  assert.deepEqual((await worker('jwks', { key: young, kid: 'k1' })).said, core.privateKeyJwt(young, { kid: 'k1' }).publicJwks())
  const { issuer } = await oidcProvider({ CLIENT_JWKS: JSON.stringify(jwks) })
  const signWithRotatedKey = (key) => worker('discovered', { issuer, clientId: 'key-rotated', scope: 'read', key })
  for (const key of [[young, old], old, [young]]) assert.deepEqual(await signWithRotatedKey(key), { said: 'string' })
  assert.equal((await signWithRotatedKey(pkcs8('P-384'))).code, 'denied.invalid_client')
})

test('a Worker signs with the key and key ID of a client file', async () => {
  const issuer = await checking(kinds.RSA.publicKey)
  const metadata = { issuer, token_endpoint: `${issuer}/token`, authorization_endpoint: `${issuer}/authorize`, jwks_uri: `${issuer}/jwks`, response_types_supported: ['code'] }
  const discovering = await listen(async (request, response) => {
    const isToken = request.url === '/token'
    if (!isToken) return response.setHeader('content-type', 'application/json').end(JSON.stringify({ ...metadata, issuer: discovering, token_endpoint: `${discovering}/token` }))
    const form = new URLSearchParams(Buffer.concat(await request.toArray()).toString())
    const { protectedHeader: { alg, kid } } = await jwtVerify(form.get('client_assertion'), kinds.RSA.publicKey, { audience: discovering })
    response.setHeader('content-type', 'application/json').end(JSON.stringify({ access_token: `${alg}.${kid}`, token_type: 'Bearer' }))
  })
  assert.deepEqual(await worker('file', { issuer: discovering, key: pkcs8('RSA') }), { said: 'RS256.k1' })
  assert.equal((await worker('file', { issuer: discovering, key: 'no key' })).code, 'key.malformed')
})

test('an invalid key is rejected in a Worker when the client is created', async () => {
  const issuer = await checking(kinds.RSA.publicKey)
  const jwk = kinds['P-256'].privateKey.export({ format: 'jwk' })
  const small = generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey.export({ type: 'pkcs8', format: 'pem' })
  const koblitz = generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).privateKey.export({ type: 'pkcs8', format: 'pem' })
  const x25519 = generateKeyPairSync('x25519').privateKey.export({ type: 'pkcs8', format: 'pem' })
  const sealed = kinds['P-256'].privateKey.export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'p' })
  const cut = pkcs8('RSA').replace(/\n[^\n]+\n-----END/, '\n-----END')
  const young = pkcs8('P-256')
  const unnamed = JSON.stringify({ ...jwk, kid: '' })
  for (const [key, expected, more] of [
    ['no key', 'key.malformed'], ['{', 'key.malformed'], ['{}', 'key.malformed'], [cut, 'key.malformed'],
    [JSON.stringify({ ...jwk, d: undefined }), 'key.malformed'], [unnamed, 'key.malformed'],
    [small, 'key.algorithm'], [koblitz, 'key.algorithm'], [x25519, 'key.algorithm'],
    [JSON.stringify({ ...jwk, alg: 'ES384' }), 'key.algorithm'], [young, 'key.algorithm', { alg: 'RS256' }],
    [JSON.stringify({ ...jwk, use: 'enc' }), 'key.algorithm'], [JSON.stringify({ ...jwk, key_ops: ['verify'] }), 'key.algorithm'],
    [JSON.stringify({ ...kinds.RSA.privateKey.export({ format: 'jwk' }), oth: [{ r: 'AQ', d: 'AQ', t: 'AQ' }] }), 'key.malformed'],
    [sealed, 'key.encrypted'],
    [[], 'client_auth.keys'], [[young, young], 'client_auth.keys'], [[young, pkcs8('RSA')], 'arguments.inconsistent', { kid: 'k' }],
    [[young, 'no key'], 'key.malformed'],
  ]) {
    const { code: output, text } = await worker('token', { issuer, key, ...more })
    assert.equal(output, expected, String(key).slice(0, 60))
    if (typeof key === 'string' && key.length > 9) assert.equal(text.includes(key.slice(30, 60)), false)
    const server = core.Server.fromMetadata(issuer, { issuer, token_endpoint: `${issuer}/token` }, { transport: 'loopback_http' })
    const createOnNode = () => new core.Client(server, { clientId: 'me', clientAuth: core.privateKeyJwt(key, more) })
    // Node.js ignores the kid of a single key.
    if (key !== unnamed) assert.throws(createOnNode, { code: expected })
  }
  assert.equal((await worker('token', { issuer, key: sealed, passphrase: 'q' })).code, 'key.passphrase')
})

/** A token endpoint and an API that each require a nonce in proofs. */
async function proving() {
  const seen = []
  const base = await listen(async (request, response) => {
    const isToken = request.url === '/token'
    const headers = { 'content-type': 'application/json' }
    const { payload, protectedHeader } = await jwtVerify(request.headers.dpop, EmbeddedJWK, { typ: 'dpop+jwt' })
    if (payload.nonce === undefined) {
      headers['dpop-nonce'] = isToken ? 'for-tokens' : 'for-the-api'
      if (!isToken) headers['www-authenticate'] = `DPoP error="use_dpop_nonce", algs="${protectedHeader.alg}"`
      return response.writeHead(isToken ? 400 : 401, headers).end('{"error":"use_dpop_nonce"}')
    }
    seen.push([request.url, protectedHeader.alg, payload.nonce, isToken || request.headers.authorization])
    response.writeHead(200, headers).end(JSON.stringify(isToken ? { access_token: 'a~t', token_type: 'DPoP', expires_in: 600 } : {}))
  })
  return { base, seen }
}

test('a Worker signs each DPoP proof with WebCrypto', async () => {
  for (const [kind, alg, form] of [['P-256', 'ES256', 'pkcs8'], ['P-521', 'ES512', 'sec1'], ['RSA', 'PS256', 'pkcs1'], ['Ed25519', 'Ed25519', 'jwk']]) {
    const { base, seen } = await proving()
    assert.deepEqual(await worker('bound', { issuer: base, key: forms(kind)[form], alg }), { said: 200 })
    assert.deepEqual(seen, [['/token', alg, 'for-tokens', true], ['/things', alg, 'for-the-api', 'DPoP a~t']])
  }
  const { base, seen } = await proving()
  assert.deepEqual(await worker('bound', { issuer: base, isHeld: true }), { said: 200 })
  assert.equal(seen.length, 2)
})

test('a Worker sends nothing if an external key fails, and does not show its error', async () => {
  const { base, seen } = await proving()
  const { code: output, text } = await worker('down', { issuer: base, key: forms('P-256').jwk })
  assert.equal(output, 'lost.unsent')
  assert.equal(text.includes('a secret'), false)
  assert.equal(seen.length, 0)
})

test('Workers and Node.js share a DPoP key through a store', async () => {
  for (const alg of ['ES256', 'Ed25519', 'PS256']) {
    const name = `made-there-${alg}`
    const { said: output } = await worker('opened', { name, alg })
    assert.equal(new Set(output).size, 1, 'all get the one that was stored first')
    // The record is the same in every language.
    const { said: { record } } = await worker('record', { name })
    const { private_key: pem, ...rest } = JSON.parse(record)
    assert.deepEqual(rest, { version: 1, alg })
    assert.equal(new core.DpopKey(pem, { alg }).thumbprint, output[0])
    const key = await core.DpopKey.generate({ alg })
    await worker('put', { name: `made-here-${alg}`, record: JSON.stringify({ version: 1, alg, private_key: key.privatePem() }) })
    assert.equal((await worker('opened', { name: `made-here-${alg}`, alg })).said[0], key.thumbprint)
  }
  assert.equal((await worker('opened', { name: 'made-there-ES256', alg: 'ES384' })).code, 'key.algorithm')
  for (const name of ['', 'x'.repeat(49), 'a\nb']) assert.equal((await worker('opened', { name })).code, 'argument.invalid')
  await worker('put', { name: 'broken', record: '{}' })
  assert.equal((await worker('opened', { name: 'broken' })).code, 'stored.malformed')
})

test('a key generated in a Worker is imported in Node.js by its PEM', async () => {
  for (const [alg, reportedAlg = alg] of [['ES256'], ['ES384'], ['ES512'], ['Ed25519'], ['EdDSA'], ['PS256'], ['RS256']]) {
    const { base, seen } = await proving()
    const { said: made, ...failure } = await worker('made', { issuer: base, alg })
    assert.deepEqual(failure, {})
    assert.equal(made.status, 200, alg)
    assert.deepEqual(seen.map(([url, by]) => [url, by]), [['/token', reportedAlg], ['/things', reportedAlg]])
    const key = new core.DpopKey(made.pem, { alg })
    assert.equal(key.thumbprint, made.thumbprint)
    assert.equal(key.privatePem(), made.pem)
    // A Worker cannot compute the thumbprint of a PEM key without its public half.
    const again = await worker('dpop', { key: made.pem, alg })
    if (alg.startsWith('Ed')) assert.equal(again.code, 'misuse.not_supported')
    else assert.equal(again.said, made.thumbprint)
  }
  assert.equal((await worker('made', { issuer: 'http://127.0.0.1:1', alg: 'HS256' })).code, 'key.algorithm')
})

test('a Worker and Node.js export the same PEM of a key', async () => {
  for (const kind of Object.keys(kinds)) {
    const [alg] = algs[kind]
    for (const [form, key] of Object.entries(forms(kind))) {
      // WebCrypto would have to work out the public half.
      if (kind === 'Ed25519' && form === 'pkcs8') continue
      const { said: output } = await worker('pem', { key, alg })
      assert.equal(output, new core.DpopKey(key, { alg }).privatePem(), `${kind} as ${form}`)
      assert.equal(createPrivateKey(output).export({ type: 'pkcs8', format: 'pem' }), forms(kind).pkcs8)
    }
  }
  const { kty, crv, x, y } = kinds['P-256'].publicKey.export({ format: 'jwk' })
  const held = await worker('heldPem', { key: { kty, crv, x, y } })
  assert.equal(held.code, 'misuse.setup')
})

test('a key that the runtime cannot generate is reported', async () => {
  const { code: output, text } = await worker('unmade')
  assert.equal(output, 'key.algorithm')
  assert.match(text, /no such curve/)
})

test('users sign in at a Worker with private_key_jwt and DPoP-bound tokens', async () => {
  const [page] = snippets(chapter, 'js bound')
  const { fapi: twin } = await twins()
  await twin.rotateNonces('once')
  const { clientId, clientKey } = await twin.client()
  const port = await freePort()
  const base = `http://127.0.0.1:${port}`
  await twin.register(`${base}/auth/callback`)
  // The twin is on this machine.
  const pageSource = page
    .replace('./store.js', './records.mjs')
    .replace('discover(env.OAUTH_ISSUER)', "discover(env.OAUTH_ISSUER, { transport: 'loopback_http' })")
    .replace('new Site({', "new Site({ transport: 'loopback_http', api: { twin: env.API + '/api' },")
  const bindings = {
    OAUTH_ISSUER: twin.base, OAUTH_CLIENT_ID: clientId, OAUTH_CLIENT_KEY: clientKey, OAUTH_BASE_URL: base, API: twin.base,
    OAUTH_KEY: Buffer.alloc(32, 7).toString('base64url'),
  }
  after(await served(port, await bundled(pageSource), bindings))
  const ann = new Browser()
  assert.equal((await ann.open(`${base}/`)).text, 'The API says 200')
  // A call forwarded for its pages has a proof, too.
  const call = await ann.send(`${base}/auth/api/twin/echo`, { headers: { accept: 'application/json', 'x-csrf-protection': '1' } })
  assert.equal(call.status, 200)
  const echoed = (await twin.log()).filter(({ path, status }) => path === '/api/echo' && status === 200)
  const proved = echoed.filter(({ headers }) => headers.some(([name]) => name === 'dpop'))
  assert.deepEqual([echoed.length, proved.length], [2, 2])
})
