'use strict'

// What a site is made of, given or in environment variables.

const { environment } = require('#host')
const native = require('#native')
const { Client, nativeClient } = require('../client.cjs')
const { variablesOf } = require('../client-auth.cjs')
const { lift, lifted } = require('../errors.cjs')
const { checkLimit } = require('../exchange.cjs')
const { nativeKey } = require('../keys.cjs')
const { isLoopback, Server } = require('../server.cjs')
const { FileStore, Memory, PostgresStore, RedisStore, Sealed, SqliteStore } = require('../stores.cjs')

/** Variables that a site cannot be without; the client's own are read by the client. */
const NEEDED = ['OAUTH_BASE_URL', 'OAUTH_KEY']

/** The key for tests, which everybody has: no site that others could reach takes it. */
const TESTING = 'testing'

const setup = (what) => lift(new Error(native.webSetupError(what)))

/** The store that a URL names. */
function storeAt(text) {
  const [scheme] = text.split(':', 1)
  switch (scheme) {
    case 'redis': case 'rediss': case 'valkey': case 'valkeys':
    case 'redis+sentinel': case 'rediss+sentinel': case 'redis+cluster': case 'rediss+cluster':
      return new RedisStore(text)
    case 'postgres': case 'postgresql': return new PostgresStore(text)
    case 'file': return new FileStore(new URL(text))
    case 'sqlite': return new SqliteStore(text.replace(/^sqlite:(\/\/)?/, ''))
    case 'memory': return new Memory()
    // The URL may hold a password: its scheme is enough.
    default: throw setup(`OAUTH_STORE: a URL of redis, postgresql, sqlite, file or memory, and not ${scheme}`)
  }
}

/** Options of a site out of environment variables; what is missing is named at once. */
function fromEnvironment({ env, clientOptions = {}, ...options }) {
  const variables = variablesOf(env ?? environment())
  const missing = NEEDED.filter((name) => !variables[name])
  if (missing.length > 0) throw lift(new Error(native.missingVariablesError(missing.join(', '))))
  const { transport, network } = options
  const line = { env, transport, network, ...clientOptions }
  // Read now, so that what is missing is said at the start; asked for its metadata when somebody comes.
  lifted(() => native.NativeSettings.fromEnv(variables))
  const [key, ...oldKeys] = variables.OAUTH_KEY.split(/[\s,]+/).filter(Boolean)
  const id = variables.OAUTH_PROVIDER ?? 'login'
  const store = options.store ?? (variables.OAUTH_STORE && new Sealed(storeAt(variables.OAUTH_STORE), key, { old: oldKeys }))
  const { scope, identity, title, parameters, callback, callbackMode, apiOrigins, ...site } = options
  const provider = { id, scope, identity, title, parameters, callback, callbackMode, apiOrigins, client: () => Client.fromEnv(line) }
  return { baseUrl: variables.OAUTH_BASE_URL, key, oldKeys, ...site, store, providers: [provider] }
}

/** The providers of a site: several, or one whose settings are the site's own; none where they are looked up. */
function providersOf({ provider, providers, client, id = 'login', title, scope, identity, parameters, callback, callbackMode, apiOrigins }) {
  const given = providers ?? (provider !== undefined && client === undefined ? [] : undefined) ?? [{ id, title, client, scope, identity, parameters, callback, callbackMode, apiOrigins }]
  return given.map((provider) => {
    if (!(provider.client instanceof Client) && typeof provider.client !== 'function') {
      throw new TypeError('client must be a Client, or a function that gives one')
    }
    return provider
  })
}

/** Settings are judged at the start, with this in the place of clients that are not known yet. */
function placeholder() {
  const issuer = 'https://as.invalid'
  const metadata = { issuer, authorization_endpoint: `${issuer}/authorize`, token_endpoint: `${issuer}/token` }
  return new Client(Server.fromMetadata(issuer, metadata), { clientId: 'placeholder', clientAuth: 'none' })
}

const texts = (list) => (list === undefined ? undefined : [...list].map(String))
const names = (scope) => (typeof scope === 'string' ? scope : [...scope].join(' '))

/** An API by its name: a URL, or one with the methods that pages may use. */
function upstream(name, given) {
  const { url, methods } = typeof given === 'string' || given instanceof URL ? { url: given } : given
  return { name, url: String(url), methods: texts(methods) }
}

/** The settings as the addon takes them. */
function nativeOptions({
  baseUrl, transport, name, prefix, lifetimeMs, idleMs, flowLifetimeMs, flows, sameSite, home, returnOrigins, claims, api = {},
  keep, provider,
}) {
  return {
    baseUrls: [baseUrl].flat().map(String),
    loopback: isLoopback(transport),
    name,
    prefix,
    lifetimeMs: checkLimit(lifetimeMs, 'lifetimeMs'),
    idleMs: checkLimit(idleMs, 'idleMs'),
    flowLifetimeMs: checkLimit(flowLifetimeMs, 'flowLifetimeMs'),
    flows,
    sameSite,
    home,
    returnOrigins: texts(returnOrigins),
    claims: texts(claims),
    api: Object.entries(api).map(([name, given]) => upstream(name, given)),
    keep,
    looksUp: provider !== undefined,
  }
}

/** Where a provider without OpenID Connect says who a person is. */
function identityEndpoint(given) {
  if (given === undefined) return undefined
  const { url, subject, claims = {} } = given
  return { url: String(url), subject, claims: Object.entries(claims) }
}

/** The settings with these clients, ready to be made a site of. */
function nativeSetup({ key, oldKeys = [] }, providers, clients) {
  if (key === undefined) throw new TypeError('a site needs a key: 32 bytes, their text, or a Key')
  const made = key === TESTING ? native.NativeSiteSetup.forTests() : native.NativeSiteSetup.of(nativeKey(key))
  for (const old of oldKeys) made.also(nativeKey(old))
  for (const [at, { id, title, scope, identity, parameters = {}, callback, callbackMode, tenant }] of providers.entries()) {
    const pairs = Object.entries(parameters).map(([name, value]) => [name, String(value)])
    const asked = scope ?? (identity ? '' : 'openid profile email')
    const given = { id, title, scope: names(asked), identity: identityEndpoint(identity), parameters: pairs, callback, callbackMode, tenant }
    lifted(() => made.provider(nativeClient(clients[at]), given))
  }
  return made
}

module.exports = { fromEnvironment, nativeOptions, nativeSetup, placeholder, providersOf, setup }
