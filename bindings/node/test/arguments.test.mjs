// Missing arguments and arguments of the wrong type: errors name the argument, and never show its value, which may be a secret.
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import path from 'node:path'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { core, serverAt } from './helper.mjs'

const require = createRequire(import.meta.url)
const web = await import('oauth-core/web')
const requireInternal = (file) =>
  require(path.join(path.dirname(require.resolve('oauth-core/package.json')), 'js', file))
const { OPTIONS } = requireInternal('options.cjs')
const { operations } = requireInternal('ops.cjs')

const NUMBER = 73502194
const TEXT = 'hunter2'
/** Values that are not strings, and that contain a secret. */
const WRONGLY_TYPED = {
  number: () => NUMBER,
  object: () => ({ value: TEXT }),
  array: () => [TEXT],
  bytes: () => Buffer.from(TEXT),
  'String object': () => new String(TEXT),
  'a method': () => ({ value: TEXT, toString: () => { throw new Error('no text') } }),
}
const LEAKS = [String(NUMBER), TEXT, '104,117,110', '68 75 6e 74']

const server = serverAt('http://127.0.0.1:1')
const client = new core.Client(server, { clientId: 'id', clientSecret: 's', timeoutMs: 2000 })
const store = new core.MemoryStore()
const tokens = core.Tokens.bearer('token')
const base = { baseUrl: 'https://shop.example', key: Buffer.alloc(32, 7), client }
const site = new web.Site(base)
const { flow } = client.authorize({ redirectUri: 'https://app.example/cb' })
const fixed = core.fixedToken('x', { origins: ['https://api.example'] })

/** An object of each class with public methods. */
const objects = {
  client, server, tokens, flow, store, site, fixed,
  exchange: client.exchange, keeper: client.keeper(undefined, { grantType: 'client_credentials', shared: false }), source: client.clientCredentials(),
  sessions: new core.Grants(client, store), api: fixed.api(), sealed: new core.SealedStore(store, Buffer.alloc(32, 1)),
  verifier: new core.AccessTokenVerifier(server, { audience: 'https://api.example' }),
  connection: new core.ResourceConnection('https://127.0.0.1:1/', { clientName: 'x', open: () => {} }),
  key: await core.DpopKey.generate(), auth: core.clientSecretJwt('x'.repeat(32)), network: new core.Network(),
  conversation: client.exchange.revoke({ token: 'x' }),
}

const methods = (value) => {
  const found = new Set()
  for (let at = value; at && at !== Object.prototype && at !== Function.prototype; at = Object.getPrototypeOf(at)) {
    for (const [name, { value: member }] of Object.entries(Object.getOwnPropertyDescriptors(at))) {
      if (typeof member === 'function' && name !== 'constructor') found.add(name)
    }
  }
  return [...found]
}

/** Everything that can be called, by its name: `(...args) => …`. */
const callable = []
for (const [name, value] of Object.entries({ ...core, ...web })) {
  if (typeof value !== 'function') continue
  const isClass = /^class /.test(Function.prototype.toString.call(value))
  callable.push([name, isClass ? (...args) => new value(...args) : value])
  if (!isClass) continue
  for (const member of methods(value)) if (Object.hasOwn(value, member)) callable.push([`${name}.${member}`, (...args) => value[member](...args)])
}
for (const [name, object] of Object.entries(objects)) {
  for (const member of methods(object)) callable.push([`${name}.${member}`, (...args) => object[member](...args)])
}

/** Skipped: callables that pass values on, that frameworks call with their own objects, or that wait for a user. */
const SKIPPED = /^(Record|GrantSource\..*|site\.(leave|remember|remembered|required|fastify|page|visit|wrap)|.*Error|DeniedError|MalformedError|UntrustedError|LostError|MisuseError)$/

/** Messages of the engine and of the addon's library about unexpected values, which do not name the argument. */
const UNNAMED = /Cannot (read|destructure|use|convert)|is not (a function|iterable)|Failed to |an argument is|Invalid URL/

async function outcomeOf(call) {
  try {
    const value = call()
    await Promise.race([value, new Promise((done) => setTimeout(done, 3000).unref())])
  } catch (error) {
    return { error }
  }
  return undefined
}

/** Yields a description of each secret that the error shows. */
function* leaks(outcome, what) {
  if (outcome === undefined) return
  const { error } = outcome
  for (let at = error, depth = 0; at !== undefined && depth < 9; at = at?.cause, depth += 1) {
    const rendered = [String(at), at?.message, at?.stack, inspect(at, { depth: 9, showHidden: true })].join('\n')
    for (const secret of LEAKS) if (rendered.includes(secret)) yield `${what} shows ${secret}: ${at?.message}`
  }
}

test('a call with a wrongly typed argument reports an error that does not contain its value', async () => {
  const leaksFound = []
  for (const [name, call] of callable) {
    if (SKIPPED.test(name)) continue
    for (const [kind, make] of Object.entries(WRONGLY_TYPED)) {
      for (const args of [[make()], [make(), make()], [make(), make(), make()], [undefined, make()]]) {
        leaksFound.push(...leaks(await outcomeOf(() => call(...args)), `${name}(${args.length} × ${kind})`))
      }
    }
  }
  assert.deepEqual(leaksFound, [])
})

/** Options that accept a list of strings, so an array is not wrongly typed. */
const LISTS = /^(scope|resource|audience|acrValues|uiLocales|prompt|origins|issuers|returnOrigins|apiOrigins|claims|methods|acr|baseUrl|expiredTokenReplies|options)$/
const wrongKinds = (name) => Object.entries(WRONGLY_TYPED).filter(([kind]) => kind !== 'array' || !LISTS.test(name))

/** The calls whose options are all tested. */
const withOptions = {
  Client: (options) => new core.Client(server, { clientId: 'id', ...options }).exchange.clientCredentials?.().begin(),
  Network: (options) => new core.Network(options),
  clientCredentials: (options) => client.clientCredentials(options),
  source: (options) => client.source(undefined, { store, subject: 'ann', ...options }),
  keeper: (options) => client.keeper(undefined, { grantType: 'client_credentials', shared: false, ...options }),
  endSessionUrl: (options) => client.endSessionUrl(options),
  'exchange.redeem': (options) => client.exchange.redeem(flow, 'https://app.example/cb?code=x&state=y', options),
  discovery: (options) => core.discovery('https://as.example', options),
  provider: (options) => core.provider('uservoice', options),
  'source.api': (options) => fixed.api(options),
  'server.api': (options) => server.api(options),
  fixedToken: (options) => core.fixedToken('x', options),
  'Tokens.bearer': (options) => core.Tokens.bearer('x', options),
  tokensFromRefreshToken: (options) => client.tokensFromRefreshToken('x', options),
  ResourceConnection: (options) => new core.ResourceConnection('https://api.example', { clientName: 'x', ...options }),
  Grants: (options) => new core.Grants(client, store, options),
  'Grants.get': (options) => new core.Grants(client, store).get('ann', options),
  RedisStore: (options) => new core.RedisStore('redis://127.0.0.1', options),
  PostgresStore: (options) => new core.PostgresStore('postgresql://127.0.0.1/x', options),
  SealedStore: (options) => new core.SealedStore(store, Buffer.alloc(32), options),
  DpopKey: (options) => new core.DpopKey('x', options),
  'DpopKey.generate': (options) => core.DpopKey.generate(options),
  privateKeyJwt: (options) => new core.Client(server, { clientId: 'id', clientAuth: core.privateKeyJwt('x', options) }),
  clientSecretJwt: (options) => new core.Client(server, { clientId: 'id', clientAuth: core.clientSecretJwt('x', options) }),
  serviceAccount: (options) => new core.Client(server, { clientId: 'id', clientAuth: core.serviceAccount('{}', options) }),
  assertionFile: (options) => new core.Client(server, { clientId: 'id', clientAuth: core.assertionFile('x', options) }),
  workloadIdentity: (options) => new core.Client(server, { clientId: 'id', clientAuth: core.workloadIdentity('github_actions', options) }),
  Site: (options) => new web.Site({ ...base, ...options }),
  'identity of a provider': (options) => new web.Site({ ...base, identity: { url: 'https://a.example', subject: 'id', ...options } }),
  'registered of a provider': (options) => new web.Site({ ...base, registered: { issuer: 'https://a.example', clientId: 'id', ...options } }),
  'an API of a site': (options) => new web.Site({ ...base, store, api: { a: { url: 'https://a.example', ...options } } }),
  'what a page needs': (options) => site.required(new Request('https://shop.example/'), options),
  'site.testing': (options) => site.testing({ subject: 'ann', ...options }),
}

test('no error about an option shows its value', async () => {
  const leaksFound = []
  for (const [name, call] of Object.entries(withOptions)) {
    for (const option of OPTIONS[name]) {
      for (const [kind, make] of wrongKinds(option)) {
        leaksFound.push(...leaks(await outcomeOf(() => call({ [option]: make() })), `${name} { ${option}: ${kind} }`))
      }
    }
  }
  assert.deepEqual(leaksFound, [])
})

test('no error about an argument of an operation shows its value', async () => {
  const leaksFound = []
  for (const [name, { names }] of Object.entries(operations)) {
    for (const argument of names) {
      for (const [kind, make] of wrongKinds(argument)) {
        const outcome = await outcomeOf(() => client.exchange[name]?.({ [argument]: make() }))
        leaksFound.push(...leaks(outcome, `${name} { ${argument}: ${kind} }`))
      }
    }
  }
  assert.deepEqual(leaksFound, [])
})

test('errors name the argument that has the wrong type', () => {
  const fails = (call, message) => assert.throws(call, { name: 'TypeError', message })
  fails(() => new core.Client(server, { clientId: 'a', clientSecret: NUMBER }), 'clientSecret must be a string')
  fails(() => new core.Client(server, { clientId: { value: TEXT } }), 'clientId must be a string')
  fails(() => core.Tokens.deserialize({ access_token: TEXT }), /^the text of serialize\(\) must be stored/)
  fails(() => core.Tokens.deserialize(NUMBER), 'text must be a string')
  fails(() => core.Tokens.bearer(NUMBER), 'accessToken must be a string')
  fails(() => core.PendingAuthorization.deserialize(NUMBER), 'text must be a string')
  fails(() => core.privateKeyJwt('x', { passphrase: NUMBER }), 'passphrase must be a string')
  fails(() => client.exchange.password({ username: 'ann', password: NUMBER }), /^argument 'password': expected a string, not a number$/)
})

test('errors of this package name the missing argument', async () => {
  const found = []
  for (const [name, call] of callable) {
    if (SKIPPED.test(name)) continue
    const { error } = (await outcomeOf(() => call())) ?? {}
    if (error === undefined || error.name === 'AbortError') continue
    const isNamed = (error instanceof TypeError || error instanceof core.OAuthError) && !UNNAMED.test(error.message)
    if (!isNamed) found.push(`${name}(): ${error}`)
  }
  assert.deepEqual(found, [])
})
