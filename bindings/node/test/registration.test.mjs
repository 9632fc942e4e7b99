// What a client is registered with: how the server's answers are signed and encrypted.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { core } from './helper.mjs'

const { Client, Server, Tokens } = core
const issuer = 'https://as.example'
const key = '{"kty":"oct","k":"AAECAwQFBgcICQoLDA0ODw"}'
// {"sub":"ann","name":"Ann"}, encrypted with the key by joserfc.
const encrypted = 'eyJhbGciOiJkaXIiLCJlbmMiOiJBMTI4R0NNIn0..RUccAzQZ80eXjJNL' +
  '.PzsnjK9_LSCzD8p1FKATjlX4pSWp-kRBNJI.3yjHHmt3b4J9IO4zuuPRSw'
const json = ['application/json', '{"sub":"ann"}']
const jwt = ['application/jwt', encrypted]

function client(registered) {
  const endpoints = { userinfo_endpoint: `${issuer}/me`, introspection_endpoint: `${issuer}/look` }
  const server = Server.fromMetadata(issuer, { issuer, ...endpoints })
  return new Client(server, { clientId: 'id', clientSecret: 's', ...registered })
}

/** Parses a UserInfo response about a user. */
function fetchUserinfo([media, body], registered) {
  const tokens = Tokens.bearer('t0ken')
  const exchange = client(registered).exchange.userinfo({ tokens, subject: 'ann' })
  exchange.begin()
  return exchange.reply({ status: 200, headers: [['content-type', media]], body: Buffer.from(body) }).value
}

const encryption = {
  userinfoEncryptedResponseAlg: 'dir', userinfoEncryptedResponseEnc: 'A128GCM', decryptionKeys: [key],
}

test('an encrypted UserInfo response is decrypted', () => {
  assert.equal(fetchUserinfo(jwt, encryption).claims.name, 'Ann')
  assert.equal(fetchUserinfo(json).subject, 'ann')
})

for (const [response, registered, code] of [
  [json, encryption, 'jwe.not_encrypted'],
  [json, { userinfoSignedResponseAlg: 'ES256' }, 'userinfo.not_signed'],
  [jwt, { userinfoSignedResponseAlg: 'ES256' }, 'jwe.unexpected'],
  [jwt, {}, 'reply.content_type'],
  [jwt, { ...encryption, userinfoEncryptedResponseEnc: 'A256GCM' }, 'jwe.alg_not_allowed'],
]) {
  test(`a response that differs from the registered format is refused: ${code}`, () => {
    assert.throws(() => fetchUserinfo(response, registered), { code })
  })
}

for (const [registered, code] of [
  [{ idTokenEncryptedResponseAlg: 'RSA-OAEP' }, 'arguments.inconsistent'],
  [{ idTokenEncryptedResponseEnc: 'A128GCM', decryptionKeys: [key] }, 'arguments.inconsistent'],
  [{ idTokenEncryptedResponseAlg: 'RSA1_5', decryptionKeys: [key] }, 'key.algorithm'],
  [{ idTokenEncryptedResponseAlg: 'dir', decryptionKeys: ['x'] }, 'key.malformed'],
  [{ userinfoSignedResponseAlg: 'none' }, 'key.algorithm'],
]) {
  test(`inconsistent registered metadata is rejected: ${code}, ${Object.keys(registered)[0]}`, () => {
    assert.throws(() => client(registered), { code })
  })
}

test('only a signed introspection response is accepted if one was requested', () => {
  const exchange = client().exchange.introspect({ token: 't', signedResponseAlg: 'ES256' })
  assert.equal(new Map(exchange.begin().headers).get('accept'), 'application/token-introspection+jwt')
  const headers = [['content-type', 'application/json']]
  const plain = { status: 200, headers, body: Buffer.from('{"active":true}') }
  assert.throws(() => exchange.reply(plain), { code: 'introspection.not_signed' })
})
