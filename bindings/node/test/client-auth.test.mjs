// Client authentication methods: what is sent, what is rejected, and what is never shown.
import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { inspect } from 'node:util'
import { core } from './helper.mjs'

const { Client, Server, assertionFile, assertionFunction, clientSecretJwt, privateKeyJwt } = core
const issuer = 'https://as.example'
const now = 1_750_000_000
const moment = () => ({ now, seed: Buffer.alloc(32, 7) })
const folder = mkdtempSync(join(tmpdir(), 'assertion-'))
after(() => rmSync(folder, { recursive: true }))

function server(more) {
  return Server.fromMetadata(issuer, { issuer, token_endpoint: `${issuer}/token`, ...more })
}

function token(claims) {
  const encodeJson = (value) => Buffer.from(JSON.stringify(value)).toString('base64url')
  // A token without exp is rejected (RFC 7523 section 3): a stolen one could be used forever.
  return `${encodeJson({ alg: 'ES256' })}.${encodeJson({ exp: 4_000_000_000, ...claims })}.c2ln`
}

/** The form that a client sends. */
function body(clientAuth, more) {
  const exchange = new Client(server(more), { clientId: 'me', clientAuth }).exchange.clientCredentials({}, { moment })
  const step = exchange.begin()
  assert.ok(!step.headers.some(([name]) => name.toLowerCase() === 'authorization'))
  return Buffer.from(step.body).toString()
}

test('a workload token is read again for each request', () => {
  const tokenFile = join(folder, 'token')
  const auth = assertionFile(tokenFile)
  assert.throws(() => body(auth), { code: 'lost.unsent' })
  const [first, second] = [token({ aud: issuer, sub: 'a' }), token({ aud: [issuer], sub: 'b' })]
  writeFileSync(tokenFile, `${first}\n`)
  assert.ok(body(auth).includes(first))
  assert.ok(!body(auth).includes('client_id'))
  writeFileSync(tokenFile, second)
  assert.ok(body(auth).includes(second))
  assert.match(body(assertionFile(tokenFile, { clientId: 'sent' })), /client_id=me/)
  assert.ok(!inspect(auth, { depth: 5, showHidden: true }).includes(tokenFile))
})

test('a token without an expiration time is rejected, and the error names its source', () => {
  const tokenFile = join(folder, 'endless')
  writeFileSync(tokenFile, token({ aud: issuer, exp: undefined }))
  const isNamed = ({ message }) => message.includes(`the token of ${tokenFile} has no exp`)
  assert.throws(() => body(assertionFile(tokenFile)), isNamed)
  const made = () => token({ aud: issuer, exp: undefined })
  assert.throws(() => body(assertionFunction(made)), ({ message }) => message.includes('the token of a callback has no exp'))
})

test('the token of a function or a file is exchanged if an exchange audience is set', async () => {
  const tokenFile = join(folder, 'opaque')
  writeFileSync(tokenFile, 'opaque')
  const received = []
  const made = ({ audience }) => {
    received.push(audience)
    return 'opaque'
  }
  for (const auth of [assertionFunction(made, { exchangeAudience: '//pool' }), assertionFile(tokenFile, { exchangeAudience: '//pool' })]) {
    const form = new URLSearchParams(body(auth))
    assert.equal(form.get('grant_type'), 'urn:ietf:params:oauth:grant-type:token-exchange')
    assert.equal(form.get('subject_token'), 'opaque')
    assert.equal(form.get('subject_token_type'), 'urn:ietf:params:oauth:token-type:jwt')
    assert.equal(form.get('audience'), '//pool')
    assert.equal(form.get('client_id'), 'me')
    assert.ok(!form.has('client_assertion'))
  }
  const more = { audience: 'api://x', exchangeAudience: '//pool', clientId: 'omitted' }
  assert.ok(!body(assertionFunction(made, more)).includes('client_id'))
  assert.deepEqual(received, ['//pool', 'api://x'])
  // A promise is waited for, where the exchange is run.
  const sent = []
  const send = async ({ body }) => {
    sent.push(String(Buffer.from(body)))
    return { status: 200, headers: [['content-type', 'application/json']], body: Buffer.from('{"access_token":"ours","token_type":"Bearer","issued_token_type":"urn:ietf:params:oauth:token-type:access_token"}') }
  }
  const client = new Client(server(), { clientId: 'me', clientAuth: assertionFunction(async () => 'later', { exchangeAudience: '//pool' }), send })
  assert.equal((await client.clientCredentials().token()).accessToken, 'ours')
  assert.ok(sent[0].includes('subject_token=later'))
  assert.throws(() => assertionFile(tokenFile, { profile: 'spiffe_jwt', exchangeAudience: '//pool' }), TypeError)
})

for (const [claims, code] of [
  [{ aud: 'https://kubernetes' }, 'client_auth.assertion_audience'],
  [{ aud: [issuer, 'https://kubernetes'] }, 'client_auth.assertion_audience'],
  [{ aud: issuer, exp: now }, 'client_auth.assertion_expired'],
  [{ aud: issuer, exp: undefined }, 'client_auth.assertion_malformed'],
  [{ aud: 7 }, 'client_auth.assertion_malformed'],
]) {
  test(`a token with unacceptable claims is not sent: ${JSON.stringify(claims)}`, () => {
    const tokenFile = join(folder, 'bad')
    writeFileSync(tokenFile, token(claims))
    assert.throws(() => body(assertionFile(tokenFile)), { code })
  })
}

test('a client with TLS authentication sends only its client ID', () => {
  for (const name of ['tls_client_auth', 'self_signed_tls_client_auth']) {
    assert.equal(body(name), 'grant_type=client_credentials&client_id=me')
  }
})

test('an X.509-SVID client sends its SPIFFE ID as client_id', () => {
  const clientNamed = (clientId) => new Client(server(), { clientId, clientAuth: 'spiffe_x509' })
  const clientId = 'spiffe://example.org/worker'
  const { body: bytes } = clientNamed(clientId).exchange.clientCredentials().begin()
  const form = new URLSearchParams(Buffer.from(bytes).toString())
  assert.deepEqual([...form], [['grant_type', 'client_credentials'], ['client_id', clientId]])
  assert.throws(() => clientNamed('worker'), { code: 'misuse.setup' })
})

test('an unsuitable key is rejected at construction, and never shown', () => {
  assert.throws(() => privateKeyJwt('no key'), { code: 'key.malformed' })
  assert.throws(() => clientSecretJwt('short'), { code: 'jws.key_too_small' })
  const taken = { token_endpoint_auth_signing_alg_values_supported: ['PS256'] }
  assert.throws(() => body(clientSecretJwt('a'.repeat(32)), taken), { code: 'key.algorithm' })
  assert.throws(() => body({ method: 'private_key_jwt' }), TypeError)
  assert.throws(() => privateKeyJwt(7), TypeError)
  const options = { clientId: 'me', clientSecret: 's', clientAuth: clientSecretJwt('a'.repeat(32)) }
  assert.throws(() => new Client(server(), options), TypeError)
  assert.equal(options.clientAuth.method, 'client_secret_jwt')
  assert.ok(!inspect(options.clientAuth, { showHidden: true }).includes('aaaa'))
})

test('the configured audience also applies to revocation requests', () => {
  // A server without an issuer gets the URL that the assertion goes to (draft-ietf-oauth-security-topics-update 2.1).
  const encodings = { privateKeyEncoding: { type: 'pkcs8', format: 'pem' }, publicKeyEncoding: { type: 'spki', format: 'pem' } }
  const { privateKey: key } = generateKeyPairSync('ec', { namedCurve: 'P-256', ...encodings })
  const url = `${issuer}/revoke`
  for (const audience of [undefined, url]) {
    const client = new Client(server({ revocation_endpoint: url }), { clientId: 'me', clientAuth: privateKeyJwt(key, { audience }) })
    const step = client.exchange.revoke({ token: 't0ken' }, { moment }).begin()
    assert.equal(step.url, url)
    const assertion = new URLSearchParams(Buffer.from(step.body).toString()).get('client_assertion')
    // A string, never an array: nothing else is the audience.
    assert.equal(JSON.parse(Buffer.from(assertion.split('.')[1], 'base64url')).aud, audience ?? issuer)
  }
})

test('a key with a custom audience is rejected at a second server', () => {
  // A server could have an assertion made out to another (RFC 10070).
  const made = (clientAuth, at) =>
    new Client(Server.fromMetadata(at, { issuer: at, token_endpoint: `${at}/token` }), { clientId: 'me', clientAuth })
  const other = 'https://other.example'
  const encodings = { privateKeyEncoding: { type: 'pkcs8', format: 'pem' }, publicKeyEncoding: { type: 'spki', format: 'pem' } }
  const { privateKey: key } = generateKeyPairSync('ec', { namedCurve: 'P-256', ...encodings })
  const withDefaults = privateKeyJwt(key)
  assert.ok(made(withDefaults, issuer) && made(withDefaults, other))
  const keyAuth = privateKeyJwt(key, { audience: `${issuer}/token` })
  // As often as wanted at that server.
  assert.ok(made(keyAuth, issuer) && made(keyAuth, issuer))
  assert.throws(() => made(keyAuth, other), { code: 'key.used_at_two_servers' })
})
