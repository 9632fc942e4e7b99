// Operations: arguments by name, and what comes back.
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import path from 'node:path'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { core } from './helper.mjs'

const { Client, DeviceAuthorizationResponse, Server, IntrospectionResponse, run } = core

const server = Server.fromMetadata('https://as.example', {
  issuer: 'https://as.example',
  token_endpoint: 'https://as.example/token',
  revocation_endpoint: 'https://as.example/revoke',
  introspection_endpoint: 'https://as.example/introspect',
  device_authorization_endpoint: 'https://as.example/device',
})
const client = new Client(server, { clientId: 'id', clientSecret: 's', fetch: () => assert.fail('nothing is sent') })

/** The result of an exchange when the server returns this body. */
function finishWith(exchange, body) {
  const headers = { 'content-type': 'application/json' }
  return run(exchange, { fetch: async () => new Response(JSON.stringify(body), { headers }) })
}

const TOLD = {
  active: true, scope: 'b a', client_id: 'c', exp: 1750000060, iat: 1750000000, sub: 'u', aud: 'x', iss: 'https://as.example',
  big: 9007199254740993, more: [1, { a: 2.5 }],
}

test('an introspection response exposes its members', async () => {
  const state = await finishWith(client.exchange.introspect({ token: 't' }), TOLD)
  assert(state instanceof IntrospectionResponse)
  assert.equal(state.active, true)
  assert.deepEqual(state.scope, ['b', 'a'])
  assert.deepEqual(state.expiresAt, new Date(1750000060_000))
  assert.deepEqual([state.clientId, state.subject, state.audience, state.username], ['c', 'u', ['x'], undefined])
  assert.equal(state.notBefore, undefined)
  assert.deepEqual(state.extra.more, [1, { a: 2.5 }])
  assert.equal(typeof state.extra, 'object')
  const inactive = await finishWith(client.exchange.introspect({ token: 't' }), { active: false, sub: 'u' })
  assert.deepEqual([inactive.active, inactive.subject], [false, undefined])
  assert.match(inspect(inactive), /^IntrospectionResponse \{ active: false/)
})

test('deviceAuthorization returns a code, and hides the device code when shown', async () => {
  const exchange = client.exchange.deviceAuthorization({ scope: ['read', 'write'] })
  const device = await finishWith(exchange, {
    device_code: 'D3V1CE', user_code: 'WDJB-MJHT', verification_uri: 'https://as.example/device', expires_in: 1800,
  })
  assert(device instanceof DeviceAuthorizationResponse)
  assert.deepEqual([device.userCode, device.verificationUri, device.interval], ['WDJB-MJHT', 'https://as.example/device', 5])
  assert.equal(device.verificationUriComplete, undefined)
  assert.equal(device.deviceCode, 'D3V1CE')
  assert.doesNotMatch(inspect(device) + JSON.stringify(device), /D3V1CE/)
  const refused = finishWith(client.exchange.deviceAuthorization(), { user_code: 'WDJB-MJHT' })
  await assert.rejects(refused, { code: 'reply.shape' })
})

test('records are immutable and have no public constructor', async () => {
  const state = await finishWith(client.exchange.introspect({ token: 't' }), TOLD)
  assert.throws(() => { state.active = false }, TypeError)
  assert.throws(() => { state.another = 1 }, TypeError)
  assert.throws(() => state.scope.push('c'), TypeError)
  assert.throws(() => { state.extra.more[1].a = 1 }, TypeError)
  assert.throws(() => new IntrospectionResponse(), TypeError)
  assert.equal(JSON.parse(JSON.stringify(state)).clientId, 'c')
  assert.equal(structuredClone(state).clientId, 'c')
})

test('argument errors name the argument and not its value', async () => {
  const mistakes = [
    ['introspect', {}, "argument 'token': expected a string, not nothing"],
    ['introspect', { token: 7 }, "argument 'token': expected a string, not a number"],
    ['introspect', { token: Buffer.from('S3CR3T') }, "argument 'token': expected a string, not a list"],
    ['revoke', { token: 't', tokenTypeHint: 'S3CR3T' }, "argument 'tokenTypeHint': expected one of \"access_token\" \"refresh_token\", not another text"],
    ['revoke', { tokn: 'S3CR3T' }, 'tokn: there is no such argument; perhaps token'],
    ['revoke', 'S3CR3T', 'the arguments must be one object: token, tokenTypeHint'],
    ['refresh', { tokens: 'S3CR3T' }, "argument 'tokens': expected Tokens, not a string"],
    ['password', { username: 'u', password: 'p', scope: 7 }, "argument 'scope': expected a string or a list of strings, not a number"],
    ['password', { username: 'u', password: 'p', extra: { a: 1 } },
      "argument 'extra': expected an object of strings or lists of strings, not an object of other things"],
  ]
  for (const [name, args, message] of mistakes) {
    assert.throws(() => client.exchange[name](args), { name: 'TypeError', message })
    await assert.rejects(client[name](args), { name: 'TypeError', message })
  }
  assert.throws(() => client.exchange.clientCredentials({ scope: ['read', 'read write'] }), { code: 'scope.syntax' })
  assert.throws(() => client.exchange.clientCredentials({ scope: 'a"b' }), { code: 'scope.syntax' })
  assert.throws(() => client.exchange.clientCredentials({ resource: ['no uri'] }), { code: 'resource.syntax' })
})

test('scope accepts a string or any iterable of strings', () => {
  function* names() { yield* ['read', 'write'] }
  for (const scope of ['read write', ['read', 'write'], new Set(['read', 'write']), names()]) {
    const { body } = client.exchange.clientCredentials({ scope }).begin()
    assert.match(Buffer.from(body).toString(), /scope=read\+write/)
  }
})

test('only own properties of extra are sent', () => {
  const extra = Object.assign(Object.create({ stranger: '1' }), { tag: ['x', 'y'] })
  const { body } = client.exchange.clientCredentials({ extra }).begin()
  assert.match(Buffer.from(body).toString(), /tag=x&tag=y$/)
  assert(!Buffer.from(body).includes('stranger'))
})

test('the JavaScript part rejects an addon of another release', () => {
  const require = createRequire(import.meta.url)
  const requireInternal = (name) => require(path.join(path.dirname(require.resolve('oauth-core')), name))
  const { FINGERPRINT } = requireInternal('ops.cjs')
  assert.match(FINGERPRINT, /^[0-9a-f]{16}$/)
  requireInternal('operation-support.cjs').checkFingerprint(FINGERPRINT)
  assert.throws(() => requireInternal('operation-support.cjs').checkFingerprint('0'), { code: 'misuse.setup', advice: 'give_up' })
})

test('a secret member of a record is read by name, and never shown', () => {
  const require = createRequire(import.meta.url)
  const { Record } = require(path.join(path.dirname(require.resolve('oauth-core')), 'record.cjs'))
  class Device extends Record {
    static members = { deviceCode: 'secret', interval: 'plain' }
  }
  const device = Device.of(['S3CR3T', 5])
  assert.equal(device.deviceCode, 'S3CR3T')
  for (const shown of [inspect(device), JSON.stringify(device), JSON.stringify({ ...device }), inspect(device, { showHidden: true })]) {
    assert(!shown.includes('S3CR3T'), shown)
  }
  assert.deepEqual(Object.keys(device), ['interval'])
  assert.throws(() => structuredClone(device), (error) => !error.message.includes('S3CR3T'))
})
