// Rotating a client's keys, at npm's oidc-provider.
import assert from 'node:assert/strict'
import { createPrivateKey, createPublicKey, generateKeyPairSync } from 'node:crypto'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import { core, oidcProvider, rejection, root } from './helper.mjs'

const { Client, MisuseError, Server, discover, privateKeyJwt, clientSecretJwt, serviceAccount } = core

const encodings = { privateKeyEncoding: { type: 'pkcs8', format: 'pem' }, publicKeyEncoding: { type: 'spki', format: 'pem' } }
const { privateKey: young } = generateKeyPairSync('ec', { namedCurve: 'P-256', ...encodings })
const { privateKey: old } = generateKeyPairSync('rsa', { modulusLength: 2048, ...encodings })
const { privateKey: foreign } = generateKeyPairSync('ec', { namedCurve: 'P-256', ...encodings })

/** The header of the assertion at a server that takes these algorithms. */
function header(clientAuth, ...algs) {
  const issuer = 'https://as.example'
  const metadata = { issuer, token_endpoint: `${issuer}/token`, token_endpoint_auth_signing_alg_values_supported: algs }
  const client = new Client(Server.fromMetadata(issuer, metadata), { clientId: 'me', clientAuth })
  const form = new URLSearchParams(Buffer.from(client.exchange.clientCredentials().begin().body).toString())
  return JSON.parse(Buffer.from(form.get('client_assertion').split('.')[0], 'base64url'))
}

test('the server accepts assertions of the old and the new key during a rotation', async () => {
  const both = privateKeyJwt([young, old])
  const { issuer } = await oidcProvider({ CLIENT_JWKS: JSON.stringify(both.publicJwks()) })
  const server = await discover(issuer, { transport: 'loopback_http' })
  const token = (clientAuth) => new Client(server, { clientId: 'key-rotated', clientAuth }).clientCredentials({ scope: 'read' }).token()
  // A worker that has both keys, one that has only the old key, and one that has only the new key.
  for (const auth of [both, privateKeyJwt(old), privateKeyJwt([young])]) assert.ok((await token(auth)).accessToken)
  assert.equal((await rejection(token(privateKeyJwt(foreign)))).code, 'denied.invalid_client')
})

test('the first key whose algorithm the server supports signs', () => {
  const both = privateKeyJwt([young, old])
  const [first, second] = both.publicJwks().keys
  assert.deepEqual(Object.keys(first).sort(), ['crv', 'kid', 'kty', 'use', 'x', 'y'])
  assert.deepEqual(Object.keys(second).sort(), ['e', 'kid', 'kty', 'n', 'use'])
  const { alg, kid } = header(both, 'RS256', 'ES256')
  assert.deepEqual([alg, kid], ['ES256', first.kid])
  assert.equal(header(both, 'RS256').kid, second.kid)
  assert.equal(header(privateKeyJwt([young, old], { alg: 'RS256' }), 'RS256', 'ES256').kid, second.kid)
  // A single key has a kid only if one is given.
  const singleKey = privateKeyJwt(young, { kid: '2026-11' })
  assert.deepEqual([header(singleKey, 'ES256').kid, singleKey.publicJwks().keys[0].kid], ['2026-11', '2026-11'])
  assert.equal(header(privateKeyJwt(young), 'ES256').kid, undefined)
})

test('invalid keys and key sets are rejected with the argument name', () => {
  const publicPem = createPublicKey(young).export({ type: 'spki', format: 'pem' })
  const publicJwk = JSON.stringify(createPublicKey(young).export({ format: 'jwk' }))
  const { privateKey: short } = generateKeyPairSync('rsa', { modulusLength: 1024, ...encodings })
  const jwk = (key, more) => JSON.stringify({ ...createPrivateKey(key).export({ format: 'jwk' }), ...more })
  assert.ok(privateKeyJwt(jwk(young, { use: 'sig', key_ops: ['verify', 'sign'] })))
  for (const [key, options, code, argument] of [
    [[], {}, 'client_auth.keys', 'key'],
    [[young, young], {}, 'client_auth.keys', 'key'],
    [[young, old], { kid: 'k' }, 'arguments.inconsistent', 'kid'],
    [[young, 'no key'], {}, 'key.malformed', 'key'],
    [publicPem, {}, 'key.malformed', 'key'],
    [publicJwk, {}, 'key.malformed', 'key'],
    [short, {}, 'key.algorithm', 'key'],
    [jwk(short), {}, 'key.algorithm', 'key'],
    [jwk(young, { use: 'enc' }), {}, 'key.algorithm', 'key'],
    [jwk(old, { key_ops: ['decrypt'] }), {}, 'key.algorithm', 'key'],
    [jwk(old, { oth: [{ r: 'AQ', d: 'AQ', t: 'AQ' }] }), {}, 'key.malformed', 'key'],
    [young, { alg: 'RS256' }, 'key.algorithm', 'alg'],
    [[young], { alg: 'HS256' }, 'key.algorithm', 'alg'],
    [young, { alg: 'none' }, 'key.algorithm', 'alg'],
  ]) {
    // At construction, with the name of the argument.
    assert.throws(() => privateKeyJwt(key, options), (error) => {
      assert.equal(error.code, code, error.message)
      assert.ok(error.message.includes(`: ${argument}: `), error.message)
      return error instanceof MisuseError && !error.message.includes('PRIVATE')
    })
  }
  assert.throws(() => clientSecretJwt('short'), { code: 'jws.key_too_small', message: /: secret: HS256 needs 32 bytes/ })
  assert.throws(() => clientSecretJwt('a'.repeat(32), { alg: 'ES256' }), { code: 'key.algorithm', message: /: alg: / })
  assert.throws(() => serviceAccount('{}'), { code: 'provider.data' })
  assert.throws(() => header(privateKeyJwt([young, old]), 'ES384'), { code: 'key.algorithm' })
  assert.throws(() => privateKeyJwt([7]), TypeError)
  assert.throws(() => clientSecretJwt('a'.repeat(32)).publicJwks(), TypeError)
})

test('an encrypted key is decrypted with its passphrase only', () => {
  const file = (name) => readFileSync(path.join(root, `crates/oauth-crypto/tests/encrypted/${name}.pem`), 'utf8')
  const opened = privateKeyJwt(file('aes256'), { passphrase: 'correct' })
  assert.deepEqual(opened.publicJwks(), privateKeyJwt(file('plain')).publicJwks())
  assert.equal(header(opened, 'ES256').alg, 'ES256')
  // As Node.js itself writes them.
  const { privateKey } = generateKeyPairSync('ec', {
    namedCurve: 'P-256',
    ...encodings,
    privateKeyEncoding: { ...encodings.privateKeyEncoding, cipher: 'aes-256-cbc', passphrase: 'pass' },
  })
  assert.equal(header(privateKeyJwt([privateKey, old], { passphrase: 'pass' }), 'ES256').alg, 'ES256')
  for (const [name, options, code, argument] of [
    ['aes256', {}, 'key.encrypted', 'key'],
    ['aes256', { passphrase: 'wrong' }, 'key.passphrase', 'passphrase'],
    ['scrypt', { passphrase: 'correct' }, 'key.malformed', 'key'],
  ]) {
    assert.throws(() => privateKeyJwt(file(name), options), (error) => {
      assert.equal(error.code, code)
      return error.message.includes(`: ${argument}`) && !error.message.includes('wrong')
    })
  }
})
