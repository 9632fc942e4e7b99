// Google service accounts: the file names the account, and its key signs.
import assert from 'node:assert/strict'
import { createPublicKey, generateKeyPairSync, verify } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, test } from 'node:test'
import { inspect } from 'node:util'
import { core, rejection, twins } from './helper.mjs'

const { Client, provider, serviceAccount } = core
const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
const file = {
  type: 'service_account',
  private_key_id: '0123456789abcdef',
  private_key: privateKey.export({ type: 'pkcs8', format: 'pem' }),
  client_email: 'robot@project.iam.gserviceaccount.com',
  token_uri: 'https://oauth2.googleapis.com/token',
}
const createClient = (changes, options) =>
  new Client(provider('google'), { clientId: file.client_email, clientAuth: serviceAccount(JSON.stringify({ ...file, ...changes }), options) })

test('a service account requests tokens with a signed assertion, for itself or a user', () => {
  for (const subject of [undefined, 'ann@example.com']) {
    const step = createClient({}, { subject }).exchange.clientCredentials({ scope: 'a b' }).begin()
    assert.equal(step.url, file.token_uri)
    const form = new URLSearchParams(Buffer.from(step.body).toString())
    assert.deepEqual([...form.keys()], ['grant_type', 'assertion'])
    const [header, claims, signature] = form.get('assertion').split('.')
    const decodePart = (part) => JSON.parse(Buffer.from(part, 'base64url'))
    assert.deepEqual(decodePart(header), { typ: 'JWT', alg: 'RS256', kid: file.private_key_id })
    const { iat, exp, ...rest } = decodePart(claims)
    assert.equal(exp - iat, 3600)
    const sub = subject === undefined ? {} : { sub: subject }
    assert.deepEqual(rest, { iss: file.client_email, aud: file.token_uri, scope: 'a b', ...sub })
    const signed = verify('RSA-SHA256', Buffer.from(`${header}.${claims}`), createPublicKey(privateKey), Buffer.from(signature, 'base64url'))
    assert.ok(signed)
  }
})

test('a service account file is validated at construction, and its key never shown', () => {
  for (const [name, value] of [['type', 'authorized_user'], ['private_key', ''], ['token_uri', 'https://evil.example/token']]) {
    assert.throws(() => createClient({ [name]: value }), (error) => error.code === 'provider.data' && error.message.includes(name))
  }
  assert.throws(() => createClient({ private_key: '-----BEGIN PRIVATE KEY-----' }), (error) => error.code.startsWith('key.'))
  assert.ok(!inspect([serviceAccount(JSON.stringify(file)), createClient({})], { depth: 9 }).includes('PRIVATE KEY'))
  assert.throws(() => serviceAccount(7), TypeError)
})

test('a client from a service account file gets tokens from the server', async () => {
  const { generic } = await twins()
  await generic.takeServiceAccounts(file.token_uri)
  const folder = await mkdtemp(path.join(tmpdir(), 'account-'))
  after(() => rm(folder, { recursive: true }))
  const place = path.join(folder, 'account.json')
  await writeFile(place, JSON.stringify(file))
  const sent = []
  const options = {
    fetch: (url, init) => {
      sent.push(`${url}`)
      return fetch(`${generic.base}/token`, init)
    },
  }
  const clients = [await Client.fromJson(JSON.stringify(file), options), await Client.fromFile(place, options)]
  // An unknown key gets no token.
  assert.equal((await rejection(clients[0].clientCredentials({ scope: 'read' }).token())).code, 'denied.invalid_grant')
  await generic.registerAssertionKey(file.client_email, createPublicKey(privateKey).export({ format: 'jwk' }))
  for (const client of clients) {
    assert.equal(client.clientId, file.client_email)
    assert.ok(!inspect(client, { depth: 9, showHidden: true }).includes('PRIVATE KEY'))
    const { scope, accessToken } = await client.clientCredentials({ scope: 'read write' }).token()
    assert.deepEqual([...scope].sort(), ['read', 'write'])
    const reply = await fetch(`${generic.base}/api/echo`, { headers: { authorization: `Bearer ${accessToken}` } })
    assert.equal((await reply.json()).client_id, file.client_email)
  }
  assert.deepEqual(new Set(sent), new Set([file.token_uri]))
})

test('errors of an invalid client file name what is wrong', async () => {
  const folder = await mkdtemp(path.join(tmpdir(), 'account-'))
  after(() => rm(folder, { recursive: true }))
  const place = path.join(folder, 'account.json')
  const refused = async (keyFile) => {
    const text = typeof keyFile === 'string' ? keyFile : JSON.stringify(keyFile)
    await writeFile(place, text)
    const errors = []
    for (const read of [() => Client.fromJson(text), () => Client.fromFile(place)]) {
      const error = await rejection(read().then((client) => client.clientCredentials().token()))
      assert.ok(error instanceof core.MisuseError, inspect(error))
      assert.ok(!inspect(error, { depth: 9, showHidden: true }).includes('PRIVATE KEY'))
      errors.push(error)
    }
    // A file that is too large is not read to its end.
    assert.equal(errors[1].code, text.length > 64 << 10 ? 'client_file.unreadable' : errors[0].code)
    return errors[0]
  }
  for (const name of ['client_email', 'private_key', 'private_key_id', 'token_uri']) {
    for (const value of [undefined, null, '', 7, ['x']]) {
      const { code, message } = await refused({ ...file, [name]: value })
      assert.deepEqual([code, message.includes(name)], ['provider.data', true], `${name}: ${message}`)
    }
  }
  for (const uri of ['http://oauth2.googleapis.com/token', 'https://evil.example/token']) {
    assert.equal((await refused({ ...file, token_uri: uri })).code, 'provider.data')
  }
  assert.equal((await refused({ ...file, type: 'authorized_user' })).code, 'client_file.unsupported')
  assert.equal((await refused({ ...file, type: 'service_acount' })).code, 'client_file.malformed')
  const pem = '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n'
  assert.ok((await refused({ ...file, private_key: pem })).code.startsWith('key.'))
  for (const text of [JSON.stringify(file).slice(0, -1), '[]', '', JSON.stringify({ ...file, pad: 'x'.repeat(64 << 10) })]) {
    assert.equal((await refused(text)).code, 'client_file.malformed')
  }
})

test('the path of a key file is named as the mistake', () => {
  for (const path of ['service-account.json', '/run/secrets/google-key']) {
    assert.throws(() => serviceAccount(path), ({ code, hint, message }) => {
      assert.equal(code, 'client_auth.key_file_path')
      assert.ok(hint.includes("readFileSync(path, 'utf8')") && message.includes('content') && !message.includes(path))
      return true
    })
  }
})
