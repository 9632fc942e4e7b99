// Common mistakes of users, reported before anything is done, with the name of the wrong option.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { core, rejection, serverAt } from './helper.mjs'

const { Site } = await import('oauth-core/web')
const server = serverAt('http://127.0.0.1:1')
const client = new core.Client(server, { clientId: 'id', clientSecret: 's', timeoutMs: 2000 })
const redirectUri = 'https://app.example/cb'
const api = 'https://api.example'

/** The error that a call throws or rejects with. */
const failed = (call) => rejection(Promise.resolve().then(call))

const SURROGATE = 'hunter2-\udcff-topsecret'
const TEXTS = {
  clientSecret: (text) => new core.Client(server, { clientId: 'id', clientSecret: text }),
  headers: (text) => new core.Client(server, { clientId: 'id', headers: { 'x-key': text } }),
  'the name of a header': (text) => new core.Client(server, { clientId: 'id', headers: { [text]: 'x' } }),
  decryptionKeys: (text) => new core.Client(server, { clientId: 'id', decryptionKeys: [text] }),
  fixedToken: (text) => core.fixedToken(text, { origins: [api] }),
  'a callback of fixedToken': (text) => core.fixedToken({ callback: () => text }, { origins: [api] }).token(),
  'Tokens.bearer': (text) => core.Tokens.bearer(text),
  'Tokens.deserialize': (text) => core.Tokens.deserialize(text),
  'PendingAuthorization.deserialize': (text) => core.PendingAuthorization.deserialize(text),
  clientSecretJwt: (text) => core.clientSecretJwt(text),
  privateKeyJwt: (text) => core.privateKeyJwt(text),
  passphrase: (text) => core.privateKeyJwt('key', { passphrase: text }),
  DpopKey: (text) => new core.DpopKey(text),
  proxy: (text) => new core.Network({ proxy: text }),
  SealedStore: (text) => new core.SealedStore(new core.MemoryStore(), text),
  RedisStore: (text) => new core.RedisStore(`redis://:${text}@127.0.0.1/`),
  PostgresStore: (text) => new core.PostgresStore(`postgres://u:${text}@127.0.0.1/`),
  revoke: (text) => client.revoke({ token: text }),
  extra: (text) => client.clientCredentials({ extra: { assertion: text } }),
  redeem: (text) => client.redeem(client.authorize({ redirectUri }).flow, `${redirectUri}?code=${text}`),
  'Site key': (text) => new Site({ baseUrl: 'https://shop.example', client, key: text }),
}

for (const [name, call] of Object.entries(TEXTS)) {
  test(`a string with a lone surrogate is rejected with a TypeError: ${name}`, async () => {
    const error = await failed(() => call(SURROGATE))
    assert.ok(error instanceof TypeError, inspect(error))
    assert.match(error.message, /lone surrogate/)
    assert.ok(!inspect(error, { showHidden: true, depth: 9 }).includes('topsecret'))
  })
}

test('a wrongly typed option is reported by name when it is passed', async () => {
  const { flow } = client.authorize({ redirectUri })
  for (const [call, message] of [
    [() => client.redeem(flow, undefined), /^callback must be a string or a URL$/],
    [() => client.redeem(flow, 5), /^callback must be a string or a URL$/],
    [() => client.exchange.redeem(flow), /^callback must be a string or a URL$/],
    [() => client.clientCredentials({ origins: api }), /^origins must be a list$/],
    [() => client.clientCredentials({ origins: null }), /^origins must be a list$/],
    [() => core.fixedToken('t', { origins: api }), /^origins must be a list$/],
    [() => new core.Client(server, { clientId: 'id', redirectUris: redirectUri }), /^redirectUris must be a list$/],
    [() => client.clientCredentials().token({ signal: 5 }), /^signal must be an AbortSignal$/],
    [() => core.fixedToken('t', { origins: [api] }).fetch(api, { signal: 5 }), /^signal must be an AbortSignal$/],
    [() => new core.Client(api, { clientId: 'id' }), /^server must be a Server, from provider, discover or /],
    [() => new core.Client(server, { clientId: undefined, clientSecret: 's' }), /^clientId must be a string$/],
    [() => new core.Client(server, { clientId: 'id', clientSecret: '' }), /^clientSecret must not be empty: /],
    [() => client.source(undefined, { store: new core.MemoryStore(), subject: '' }), /^subject must not be empty$/],
    [() => new core.FileStore(''), /^path must not be empty$/],
    [() => new core.SqliteStore(''), /^path must not be empty$/],
  ]) {
    const error = await failed(call)
    assert.ok(error instanceof TypeError, inspect(error))
    assert.match(error.message, message)
  }
})

test('a promise that was not awaited is reported as such', async () => {
  const promise = Promise.resolve()
  for (const [call, name] of [
    [() => new core.Client(promise, { clientId: 'id' }), 'server must be a Server'],
    [() => new core.AccessTokenVerifier(promise, { audience: api }), 'server must be a Server'],
    [() => new core.Client(server, { clientId: 'id', dpopKey: promise }), 'dpopKey must be a DpopKey'],
    [() => new core.Grants(promise, new core.MemoryStore()), 'client must be a Client'],
    [() => core.login(promise), 'client must be a Client'],
    [() => core.AccessTokenVerifier.introspecting(promise, { audience: api }), 'client must be a Client'],
    [() => client.clientCredentials({ store: promise }), 'store must have a method'],
    [() => client.redeem(promise, redirectUri), 'flow must be a PendingAuthorization'],
    [() => client.source(promise), 'tokens must be Tokens'],
    [() => new core.SealedStore(new core.MemoryStore(), promise), 'a key must be'],
    [() => new Site({ baseUrl: api, key: Buffer.alloc(32, 7), client: promise }), 'client must be a Client'],
  ]) {
    const error = await failed(call)
    assert.ok(error instanceof TypeError && error.message.startsWith(name), inspect(error))
    assert.match(error.message, /, not a Promise: await it$/)
  }
})

test('a flow or tokens stored as JSON, not by serialize(), are refused with an explanation', async () => {
  const { flow } = client.authorize({ redirectUri })
  const tokens = core.Tokens.bearer('secret')
  for (const [Class, kept] of [[core.PendingAuthorization, flow], [core.Tokens, tokens]]) {
    for (const stored of [kept, JSON.parse(JSON.stringify(kept)), JSON.stringify(kept)]) {
      const error = await failed(() => Class.deserialize(stored))
      assert.ok(error instanceof TypeError, inspect(error))
      assert.match(error.message, /^the text of serialize\(\) must be stored, not .* as JSON, which has no secrets$/)
    }
    assert.ok(Class.deserialize(kept.serialize()) instanceof Class)
    for (const junk of ['', 'null', '5', '{}', 'x']) assert.equal((await failed(() => Class.deserialize(junk))).code, 'stored.malformed')
    assert.match((await failed(() => Class.deserialize(5))).message, /^text must be a string$/)
  }
  assert.match((await failed(() => client.redeem(JSON.parse(JSON.stringify(flow)), redirectUri))).message, /store the text of serialize\(\)/)
})

test('an error about a login option lists the options of a login', async () => {
  assert.match((await failed(() => core.login(client, { timeout: 20 }))).message, /^timeout: there is no such option; perhaps timeoutMs$/)
  const all = (await failed(() => core.login(client, { zzzzzzzzzzzz: 1 }))).message
  for (const name of ['open', 'paste', 'port', 'path', 'device', 'show', 'purpose', 'timeoutMs', 'signal', 'redirectUri', 'scope']) {
    assert.equal(all.split(/[ ,]+/).filter((word) => word === name).length, 1, all)
  }
})

test('a discovery timeout names the server once', async (context) => {
  const silent = createServer(() => {}).listen(0, '127.0.0.1')
  await once(silent, 'listening')
  context.after(() => silent.close())
  silent.on('connection', (socket) => context.after(() => socket.destroy()))
  const issuer = `http://127.0.0.1:${silent.address().port}`
  // The limit of the call or that of its request ends it, whichever is noticed first.
  for (let time = 0; time < 4; time += 1) {
    const error = await failed(() => core.discover(issuer, { transport: 'loopback_http', timeoutMs: 200 }))
    assert.equal(error.code, 'lost.timeout')
    assert.ok(error.message.includes(issuer) && error.url.startsWith(issuer), error.message)
    assert.equal(error.message.split('no reply').length, 2, error.message)
  }
})

test('a printed error contains its hint and no absent fields', async () => {
  const misuse = await failed(() => new core.Client(server, { clientId: 'id' }).clientCredentials().token())
  const text = inspect(misuse)
  assert.ok(misuse.hint && text.includes(`hint: ${inspect(misuse.hint)}`), text)
  assert.match(text, /^MisuseError: .*\n    at /)
  assert.doesNotMatch(text, /undefined|responseHeaders|repeated|extra/)
  assert.deepEqual([misuse.status, misuse.repeated, misuse.extra, misuse.responseHeaders], [undefined, false, {}, {}])
})

test('an access token verifier with unusable options is rejected at construction', async () => {
  for (const options of [{}, { audience: '' }, { audience: 'a', algs: ['none'] }, { audience: 'a', algs: ['RS265'] }, { audience: 'a', profile: 'azure' }]) {
    assert.throws(() => new core.AccessTokenVerifier(server, options), (error) => error instanceof TypeError || error instanceof core.MisuseError)
  }
  assert.throws(() => core.AccessTokenVerifier.introspecting(client, { audience: '' }), /audience must contain at least one identifier/)
})

test('a string is rejected where a site expects a list', () => {
  const at = (options) => new Site({ baseUrl: api, key: Buffer.alloc(32, 7), client, ...options })
  for (const name of ['claims', 'returnOrigins']) {
    assert.throws(() => at({ [name]: 'email' }), { name: 'TypeError', message: new RegExp(name) })
  }
  assert.throws(() => at({ api: { shop: { url: 'https://api.example', methods: 'POST' } } }), TypeError)
})
