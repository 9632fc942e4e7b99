// Google's service accounts: their file says who asks, and their key signs.
import assert from 'node:assert/strict'
import { createPublicKey, generateKeyPairSync, verify } from 'node:crypto'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { core } from './helper.mjs'

const { Client, provider, serviceAccount } = core
const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
const file = {
  type: 'service_account',
  private_key_id: '0123456789abcdef',
  private_key: privateKey.export({ type: 'pkcs8', format: 'pem' }),
  client_email: 'robot@project.iam.gserviceaccount.com',
  token_uri: 'https://oauth2.googleapis.com/token',
}
const clientOf = (changes, options) =>
  new Client(provider('google'), { clientId: file.client_email, clientAuth: serviceAccount(JSON.stringify({ ...file, ...changes }), options) })

test('a service account asks with an assertion of its own, for itself or for a person', () => {
  for (const subject of [undefined, 'ann@example.com']) {
    const step = clientOf({}, { subject }).exchange.clientCredentials({ scope: 'a b' }).begin()
    assert.equal(step.url, file.token_uri)
    const form = new URLSearchParams(Buffer.from(step.body).toString())
    assert.deepEqual([...form.keys()], ['grant_type', 'assertion'])
    const [header, claims, signature] = form.get('assertion').split('.')
    const read = (part) => JSON.parse(Buffer.from(part, 'base64url'))
    assert.deepEqual(read(header), { typ: 'JWT', alg: 'RS256', kid: file.private_key_id })
    const { iat, exp, ...rest } = read(claims)
    assert.equal(exp - iat, 3600)
    const sub = subject === undefined ? {} : { sub: subject }
    assert.deepEqual(rest, { iss: file.client_email, aud: file.token_uri, scope: 'a b', ...sub })
    const signed = verify('RSA-SHA256', Buffer.from(`${header}.${claims}`), createPublicKey(privateKey), Buffer.from(signature, 'base64url'))
    assert.ok(signed)
  }
})

test('the file of a service account is read before anything is sent, and its key shows nowhere', () => {
  for (const [name, value] of [['type', 'authorized_user'], ['private_key', ''], ['token_uri', 'https://evil.example/token']]) {
    assert.throws(() => clientOf({ [name]: value }), (error) => error.code === 'provider.data' && error.message.includes(name))
  }
  assert.throws(() => clientOf({ private_key: '-----BEGIN PRIVATE KEY-----' }), (error) => error.code.startsWith('key.'))
  assert.ok(!inspect([serviceAccount(JSON.stringify(file)), clientOf({})], { depth: 9 }).includes('PRIVATE KEY'))
  assert.throws(() => serviceAccount(7), TypeError)
})
