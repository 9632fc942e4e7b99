// Mistyped option names are never ignored, in any call.
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import path from 'node:path'
import { test } from 'node:test'
import { core, serverAt } from './helper.mjs'

const require = createRequire(import.meta.url)
const web = await import('oauth-core/web')
const requireInternal = (file) =>
  require(path.join(path.dirname(require.resolve('oauth-core/package.json')), 'js', file))
const { OPTIONS } = requireInternal('options.cjs')
const { Tokens } = core

const server = serverAt('http://127.0.0.1:1')
const client = new core.Client(server, { clientId: 'id' })
const store = new core.MemoryStore()
const base = { baseUrl: 'https://shop.example', key: Buffer.alloc(32, 7), client }
const site = new web.Site(base)
const tokens = Tokens.bearer('token')
const { flow } = client.authorize({ redirectUri: 'https://app.example/cb' })
const callback = 'https://app.example/cb'
const JWK = {
  kty: 'EC', crv: 'P-256', x: 'MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4', y: '4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM',
}

/** Each call of the table, with these options. */
const calls = {
  Client: (options) => new core.Client(server, options),
  'Client.fromEnv': (options) => core.Client.fromEnv(options),
  'Client.fromFile': (options) => core.Client.fromFile('none', options),
  'Client.fromJson': (options) => core.Client.fromJson('{}', options),
  'Server.fromMetadata': (options) => core.Server.fromMetadata('https://as.example', {}, options),
  provider: (options) => core.provider('socios', options),
  providerFile: (options) => core.providerFile('', options),
  discover: (options) => core.discover('https://as.example', options),
  discovery: (options) => core.discovery('https://as.example', options),
  Network: (options) => new core.Network(options),
  clientCredentials: (options) => client.clientCredentials(options),
  source: (options) => client.source(undefined, options),
  keeper: (options) => client.keeper(undefined, options),
  endSessionUrl: (options) => client.endSessionUrl(options),
  endSessionForm: (options) => client.endSessionForm(options),
  checkContexts: (options) => core.checkContexts([options]),
  checkLogoutReturn: (options) => core.checkLogoutReturn('https://app.example/out?state=s', options),
  'FrontChannelLogout.ends': (options) => new core.FrontChannelLogout('https://app.example/out').ends(options),
  redeem: (options) => client.redeem(flow, callback, options),
  'exchange.redeem': (options) => client.exchange.redeem(flow, callback, options),
  'a call': (options) => client.revoke({ token: 'x' }, options),
  'an exchange': (options) => client.exchange.revoke({ token: 'x' }, options),
  identityAssertionGrant: (options) => core.identityAssertionGrant(client, tokens, client, options),
  run: (options) => core.run(client.exchange.revoke({ token: 'x' }), options),
  keep: (options) => core.keep(client.keeper(undefined, { grantType: 'client_credentials', shared: false }), options),
  'source.api': (options) => client.clientCredentials().api(options),
  'server.api': (options) => server.api(options),
  fixedToken: (options) => core.fixedToken('x', options),
  'Tokens.bearer': (options) => Tokens.bearer('x', options),
  tokensFromRefreshToken: (options) => client.tokensFromRefreshToken('x', options),
  ResourceConnection: (options) => new core.ResourceConnection('https://api.example', options),
  Grants: (options) => new core.Grants(client, store, options),
  'Grants.get': (options) => new core.Grants(client, store).get('ann', options),
  'Grants.logIn': (options) => new core.Grants(client, store).logIn('ann', tokens, options),
  FileStore: (options) => new core.FileStore('none', options),
  SqliteStore: (options) => new core.SqliteStore('none', options),
  RedisStore: (options) => new core.RedisStore('redis://127.0.0.1', options),
  PostgresStore: (options) => new core.PostgresStore('postgresql://127.0.0.1/x', options),
  SealedStore: (options) => new core.SealedStore(store, Buffer.alloc(32), options),
  'SealingKey.fromKeyring': (options) => core.SealingKey.fromKeyring('none', options),
  DpopKey: (options) => new core.DpopKey('x', options),
  'DpopKey.generate': (options) => core.DpopKey.generate(options),
  'DpopKey.held': (options) => core.DpopKey.held(JWK, () => {}, options),
  'DpopKey.open': (options) => core.DpopKey.open(store, 'x', options),
  privateKeyJwt: (options) => core.privateKeyJwt('x', options),
  clientSecretJwt: (options) => core.clientSecretJwt('x', options),
  serviceAccount: (options) => core.serviceAccount('{}', options),
  assertionFile: (options) => core.assertionFile('x', options),
  assertionFunction: (options) => core.assertionFunction(() => 'x', options),
  workloadIdentity: (options) => core.workloadIdentity('github_actions', options),
  Site: (options) => new web.Site({ ...base, ...options }),
  'Site.fromEnv': (options) => web.Site.fromEnv(options),
  'a provider of a site': (options) => new web.Site({ ...base, client: undefined, providers: [{ id: 'a', client, ...options }] }),
  'identity of a provider': (options) => new web.Site({ ...base, identity: { url: 'https://a.example', subject: 'id', ...options } }),
  'registered of a provider': (options) => new web.Site({ ...base, registered: { issuer: 'https://a.example', clientId: 'id', ...options } }),
  'an API of a site': (options) => new web.Site({ ...base, store, api: { a: { url: 'https://a.example', ...options } } }),
  'what a page needs': (options) => site.required(options),
  'site.handle': (options) => site.handle(new Request('https://shop.example/'), options),
  'site.sveltekit': (options) => site.sveltekit(options),
  'site.testing': (options) => site.testing(options),
}
/** Those whose options are members of something else. */
const INNER = ['Site', 'a provider of a site', 'identity of a provider', 'registered of a provider', 'an API of a site', 'what a page needs']

const thrown = async (call) => {
  try {
    await call()
  } catch (error) {
    return error
  }
  return undefined
}

test('every call in the options table is tested', () => assert.deepEqual(Object.keys(calls).sort(), Object.keys(OPTIONS).sort()))

for (const [name, call] of Object.entries(calls)) {
  test(`${name}: an unknown option is reported by name, with a suggestion`, async () => {
    const [first] = OPTIONS[name]
    const typo = `${first.slice(0, -1)}${first.at(-1).toUpperCase()}x`
    for (const [misspelt, message] of [['madeUpByNobody', /madeUpByNobody: there is no such option/], [typo, new RegExp(`^${typo}: .*${first}`)]]) {
      const error = await thrown(() => call({ [misspelt]: 1 }))
      assert.ok(error instanceof TypeError, `${misspelt}: ${error}`)
      assert.match(error.message, message)
    }
    if (INNER.includes(name)) return
    for (const value of ['hunter2', ['hunter2'], null, Buffer.from('hunter2')]) {
      const error = await thrown(() => call(value))
      assert.ok(error instanceof TypeError && error.message.startsWith('the options of'), String(error))
      assert.doesNotMatch(error.message, /hunter2/)
    }
  })
}

test('unknown arguments of operations and request options are rejected', async () => {
  await assert.rejects(client.revoke({ tokn: 'x' }), { name: 'TypeError', message: 'tokn: there is no such argument; perhaps token' })
  const source = core.fixedToken('x', { origins: ['https://api.example'], fetch: async (url, init) => Response.json(Object.keys(init)) })
  await assert.rejects(source.fetch('https://api.example/', { origins: ['https://evil.example'] }), { name: 'TypeError', message: /^origins: / })
  await assert.rejects(source.fetch('https://api.example/', { ratelimit: 'wait' }), { name: 'TypeError', message: /perhaps onRateLimit/ })
  // Unknown request options are passed to `fetch`.
  const receivedInit = await (await source.fetch('https://api.example/', { dispatcher: 1, next: {} })).json()
  assert.ok(receivedInit.includes('dispatcher') && receivedInit.includes('next'))
})
