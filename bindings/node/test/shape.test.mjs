// What the package looks like from outside.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { serialize } from 'node:v8'
import { core, serverAt } from './helper.mjs'

const { Api, Client, DeniedError, FixedToken, PendingAuthorization, GrantSource, OAuthError, Server, Tokens, provider, providers } = core
const SECRETS = ['at-secret', 'rt-secret', 'id-secret', 'extra-secret']

function tokens() {
  return Tokens.deserialize(JSON.stringify({
    version: 1,
    issuer: 'https://as.example',
    client_id: 'id',
    access_token: 'at-secret',
    received_at: 1_750_000_000,
    expires_in: 60,
    scope: 'read write',
    refresh_token: 'rt-secret',
    refresh_scope: 'read write',
    id_token: 'id-secret',
    extra: { account: 'extra-secret' },
  }))
}

const hides = (shown) => assert.ok(SECRETS.every((secret) => !shown.includes(secret)), shown)

for (const [moduleSystem, script] of Object.entries({
  import: "await import('oauth-core')",
  require: "createRequire(process.cwd() + '/x.js')('oauth-core')",
})) {
  test(`${moduleSystem} starts no thread and loads no other package`, () => {
    // Node's own pool is warmed up first: modules are read with it.
    const code = `
      import { readdirSync, promises } from 'node:fs'
      import { createRequire } from 'node:module'
      const threads = () => process.platform === 'linux' ? readdirSync('/proc/self/task').length : 0
      await Promise.all(Array.from({ length: 32 }, () => promises.stat('.')))
      const before = threads()
      ${script}
      const require = createRequire(process.cwd() + '/x.js')
      const loaded = Object.keys(require.cache).filter((file) => /node_modules/.test(file) && !/oauth-core/.test(file))
      console.log(threads() - before, loaded.length)`
    const output = execFileSync(process.execPath, ['--input-type=module', '-e', code], { encoding: 'utf8' })
    assert.equal(output.trim(), '0 0')
  })
}

test('an integer beyond the safe range is returned as a string', () => {
  const stored = tokens().serialize()
  const exact = stored.replace('"extra-secret"', '17841400000000001')
  assert.equal(Tokens.deserialize(exact).extra.account, '17841400000000001')
  assert.equal(Tokens.deserialize(stored.replace('"extra-secret"', '9007199254740991')).extra.account, 9007199254740991)
})

test('tokens are read by member, and not shown when inspected', () => {
  const all = tokens()
  assert.equal(all.accessToken, 'at-secret')
  assert.equal(all.refreshToken, 'rt-secret')
  assert.equal(all.idToken, 'id-secret')
  assert.deepEqual(all.extra, { account: 'extra-secret' })
  assert.deepEqual(all.scope, ['read', 'write'])
  assert.equal(all.expiresAt.getTime(), 1_750_000_060_000)
  assert.deepEqual([all.issuer, all.clientId, all.warnings], ['https://as.example', 'id', []])
  hides(inspect(all, { depth: 9, showHidden: true }))
  hides(JSON.stringify({ all }))
  hides(String(all))
  assert.match(JSON.stringify(all), /"scope":\["read","write"\]/)
  assert.equal(Tokens.deserialize(all.serialize()).refreshToken, 'rt-secret')
})

test('tokens and flows that the library did not serialize are refused', () => {
  for (const text of ['', '{}', '{"version":2}', 'null']) {
    assert.throws(() => Tokens.deserialize(text), { code: 'stored.malformed', advice: 'reauthorize' })
    assert.throws(() => PendingAuthorization.deserialize(text), { code: 'stored.malformed' })
  }
  assert.throws(() => Tokens.deserialize('{"version":1,"issuer":"https://as.example"}'), /: client_id is missing \[/)
})

test('a flow is serialized with its secrets, and inspected without them', () => {
  const client = new Client(serverAt('http://127.0.0.1:1'), { clientId: 'id' })
  const { url, flow } = client.authorize({ redirectUri: 'https://app.example/cb', scope: ['openid', 'read'] })
  assert.ok(url instanceof URL)
  assert.equal(url.searchParams.get('state'), flow.state)
  assert.equal(url.searchParams.get('scope'), 'openid read')
  const { code_verifier: verifier, nonce } = JSON.parse(flow.serialize())
  assert.ok(verifier && nonce)
  const shown = inspect(flow, { depth: 9, showHidden: true }) + JSON.stringify({ flow })
  assert.ok(![verifier, nonce, flow.state].some((secret) => shown.includes(secret)))
  assert.equal(PendingAuthorization.deserialize(flow.serialize()).state, flow.state)
  assert.ok(flow.startedAt instanceof Date)
})

test('a value that structuredClone would empty is refused', async () => {
  const client = new Client(serverAt('http://127.0.0.1:1'), { clientId: 'id' })
  const { flow } = client.authorize({ redirectUri: 'https://app.example/cb' })
  const { port1, port2 } = new MessageChannel()
  for (const value of [flow, PendingAuthorization.deserialize(flow.serialize()), tokens()]) {
    const ways = [structuredClone, (input) => structuredClone({ deep: [input] }), serialize, (given) => port1.postMessage(given)]
    for (const clone of ways) assert.throws(() => clone(value), (error) => /#<\w+> could not be cloned/.test(error.message) && (hides(error.message), true))
    // Nothing shows how.
    assert.deepEqual([Object.getOwnPropertyNames(value), Object.getOwnPropertySymbols(value), { ...value }], [[], [], {}])
    assert.doesNotMatch(inspect(value) + inspect(value, { showHidden: true }) + JSON.stringify(value), /notCloned|WeakSet|unknown/)
    assert.ok(!(value instanceof WeakSet) && !('has' in value))
  }
  port1.close()
  port2.close()
  // The texts are what can be handed over.
  assert.equal(PendingAuthorization.deserialize(structuredClone(flow.serialize())).state, flow.state)
  assert.equal(Tokens.deserialize(structuredClone(tokens().serialize())).refreshToken, 'rt-secret')
})

test('clients, sources and servers show no secret', () => {
  const client = new Client(provider('socios'), { clientId: 'key', clientSecret: 'at-secret' })
  for (const value of [client, client.clientCredentials(), client.server, client.exchange, client.exchange.clientCredentials()]) {
    hides(inspect(value, { depth: 9, showHidden: true }))
    hides(JSON.stringify(value) ?? '')
  }
})

test('providers() lists the presets, and an unknown name suggests one', () => {
  assert.ok(['uservoice', 'usertesting', 'usertesting-apps', 'socios'].every((name) => providers().includes(name)))
  assert.throws(() => provider('sociso'), /socios/)
  assert.throws(() => provider('socios', { variables: { tenant: 'x' } }), { code: 'provider.variable' })
  assert.equal(provider('socios').metadata.token_endpoint, 'https://partner.socios.com/oauth2/token')
})

test('a client authenticates with its configured method', () => {
  const server = serverAt('http://127.0.0.1:1')
  const header = (options) => {
    const step = new Client(server, { clientId: 'a b', ...options }).exchange.revoke
    const { headers, body } = new Client(server, { clientId: 'a b', ...options }).exchange.clientCredentials().begin()
    assert.ok(step)
    return [Object.fromEntries(headers).authorization, Buffer.from(body).toString()]
  }
  assert.equal(header({ clientSecret: 'c:d' })[0], `Basic ${btoa('a+b:c%3Ad')}`)
  assert.match(header({ clientSecret: 'c:d', clientAuth: 'client_secret_post' })[1], /client_id=a\+b&client_secret=c%3Ad/)
  const options = { clientId: 'id', clientAuth: 'client_secret_basic' }
  assert.throws(() => new Client(server, options), { code: 'client_auth.required' })
  assert.throws(() => new Client(server, { ...options, clientAuth: 'none', clientSecret: 's' }), { code: 'client_auth.secret_not_allowed' })
  assert.throws(() => new Client(server, { ...options, clientAuth: 'tls' }), TypeError)
  assert.throws(() => new Client(provider('socios'), { clientId: 'key' }), { code: 'client_auth.required' })
})

test('arguments of the wrong type are type errors', async () => {
  const client = new Client(provider('socios'), { clientId: 'key', clientSecret: 's' })
  assert.throws(() => new Client({}, { clientId: 'key' }), TypeError)
  assert.throws(() => new Client(provider('socios'), { clientId: 7 }), TypeError)
  assert.throws(() => client.exchange.clientCredentials({ scope: 7 }), TypeError)
  assert.throws(() => client.exchange.refresh({}), TypeError)
  assert.throws(() => client.exchange.redeem('{}', 'https://app.example/cb'), TypeError)
  assert.throws(() => client.source({}), TypeError)
  assert.throws(() => client.clientCredentials({ onTokens: 1 }), TypeError)
  for (const timeoutMs of [0, -1, NaN, '5']) {
    assert.throws(() => new Client(provider('socios'), { clientId: 'key', clientSecret: 's', timeoutMs }), TypeError)
    await assert.rejects(client.password({ username: 'u', password: 'p' }, { timeoutMs }), TypeError)
    await assert.rejects(client.clientCredentials().token({ timeoutMs }), TypeError)
  }
  for (const Class of [Tokens, Server, GrantSource, FixedToken, Api]) assert.throws(() => new Class({}), TypeError)
})

test('errors are instances of Error with a name, kind and stack', () => {
  const error = assert.throws.bind(assert)
  error(() => provider('none'), (raised) => {
    assert.ok(raised instanceof Error && raised instanceof OAuthError && !(raised instanceof DeniedError))
    assert.deepEqual([raised.name, raised.kind, raised.advice], ['MisuseError', 'misuse', 'give_up'])
    assert.match(raised.stack, /shape\.test\.mjs/)
    assert.deepEqual([raised.retryAfter, raised.status, raised.endpoint], [undefined, undefined, undefined])
    return true
  })
})
