'use strict'

// What a site is made of, given or in environment variables.

const { environment } = require('#host')
const native = require('#native')
const { Client, nativeClient } = require('../client.cjs')
const { variablesOf } = require('../client-auth.cjs')
const { lift, lifted } = require('../errors.cjs')
const { checkLimit } = require('../exchange.cjs')
const { nativeKey } = require('../keys.cjs')
const { optionsOf, textsOf } = require('../options.cjs')
const { isLoopback } = require('../server.cjs')
const { Sealed, StoreAt } = require('../stores.cjs')

/** Variables that a site cannot be without; the client's own are read by the client. */
const NEEDED = ['OAUTH_BASE_URL', 'OAUTH_KEY']
const SECRETS = ['OAUTH_CLIENT_SECRET']

const ON_THIS_MACHINE = "OAUTH_TRANSPORT=loopback_http, or transport: 'loopback_http', is for tests on this machine"

/** The key for tests, which is public: a site that others could reach refuses it. */
const TESTING = 'testing'

const setup = (what) => lift(new Error(native.webSetupError(what)))

/** What the addon reads, or else an error that names the variable and shows nothing of its value. */
function read(variable, what, call) {
  try {
    return call()
  } catch {
    throw setup(`${variable}: ${what}`)
  }
}

/** The settings of the client. One error names all missing variables, the client's own and the site's. */
function clientSettings(variables) {
  // An empty secret is one that was left out, such as in a file that nobody has filled in.
  const missing = [...NEEDED.filter((name) => !variables[name]), ...SECRETS.filter((name) => variables[name] === '')]
  let settings
  try {
    settings = lifted(() => native.NativeSettings.fromEnv(variables))
  } catch (error) {
    if (error.code !== 'environment.missing') throw error
    if (variables.OAUTH_CLIENT_FILE) throw error
    const isServerSaid = variables.OAUTH_ISSUER || variables.OAUTH_PROVIDER
    if (!variables.OAUTH_CLIENT_ID) missing.unshift('OAUTH_CLIENT_ID')
    if (!isServerSaid) missing.unshift('OAUTH_ISSUER or OAUTH_PROVIDER')
    if (missing.length === 0) throw error
  }
  if (missing.length > 0) throw lift(new Error(native.missingVariablesError(missing.join(', '))))
  return settings
}

/** Whether site and provider may be on this machine. */
function transportOf({ OAUTH_TRANSPORT: given }) {
  if (!given) return undefined
  if (given !== 'https' && given !== 'loopback_http') throw setup('OAUTH_TRANSPORT: https or loopback_http')
  return given
}

/** Options of a site from environment variables; everything that is missing is named in one error. */
function fromEnvironment({ env, clientOptions = {}, ...options }) {
  const variables = variablesOf(env ?? environment())
  const transport = options.transport ?? transportOf(variables)
  const { network } = options
  const line = { env, transport, network, ...clientOptions }
  // Read now, so that what is missing or wrong is said at the start; asked for its metadata when somebody comes.
  const settings = clientSettings(variables)
  const isLocal = isLoopback(transport)
  if (variables.OAUTH_ISSUER) {
    read('OAUTH_ISSUER', `not the https URL of an issuer; ${ON_THIS_MACHINE}`, () => {
      const { issuer } = settings.server(isLocal)
      return native.discovery(issuer ?? variables.OAUTH_ISSUER, isLocal, undefined)
    })
  }
  const at = lifted(() => settings.server(isLocal))
  const registered = { issuer: at.issuer ?? at.known.issuer, clientId: settings.clientId }
  if (!URL.canParse(variables.OAUTH_BASE_URL)) throw setup('OAUTH_BASE_URL: not a URL')
  const [key, ...oldKeys] = variables.OAUTH_KEY.split(/[\s,]+/).filter(Boolean)
  if (key !== TESTING) read('OAUTH_KEY', 'a key is 32 bytes in base64url', () => [key, ...oldKeys].map(nativeKey))
  const id = variables.OAUTH_PROVIDER ?? 'login'
  const store = options.store ?? (variables.OAUTH_STORE && new Sealed(new StoreAt(variables.OAUTH_STORE), key, { old: oldKeys }))
  const { scope, identity, title, parameters, callback, callbackMode, apiOrigins, ...site } = options
  const provider = { id, scope, identity, title, parameters, callback, callbackMode, apiOrigins, registered, client: () => Client.fromEnv(line) }
  return { baseUrl: variables.OAUTH_BASE_URL, key, oldKeys, ...site, transport, store, providers: [provider] }
}

/** The providers of a site: several, or one whose settings are the site's own; none where they are looked up. */
function providersOf({ provider, providers, client, id = 'login', title, scope, identity, parameters, callback, callbackMode, apiOrigins, registered }) {
  const given = providers ?? (provider !== undefined && client === undefined ? [] : undefined) ?? [{ id, title, client, scope, identity, parameters, callback, callbackMode, apiOrigins, registered }]
  return given.map((named) => {
    const provider = optionsOf('a provider of a site', named)
    if (!(provider.client instanceof Client) && typeof provider.client !== 'function') {
      throw new TypeError('client must be a Client, or a function that gives one')
    }
    return provider
  })
}

const names = (scope) => (typeof scope === 'string' ? scope : [...scope].join(' '))

/** An API by its name: a URL, or one with the methods that pages may use. */
function upstream(name, given) {
  const { url, methods } = typeof given === 'string' || given instanceof URL ? { url: given } : optionsOf('an API of a site', given)
  return { name, url: String(url), methods: textsOf('methods', methods) }
}

/** The settings as the addon takes them. */
function nativeOptions({
  baseUrl, transport, name, prefix, lifetimeMs, idleMs, flowLifetimeMs, flows, sameSite, home, returnOrigins, claims, api = {},
  keep, provider, clientMetadata,
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
    returnOrigins: textsOf('returnOrigins', returnOrigins),
    claims: textsOf('claims', claims),
    api: Object.entries(api).map(([name, given]) => upstream(name, given)),
    keep,
    looksUp: provider !== undefined,
    clientMetadata: typeof clientMetadata === 'object' ? JSON.stringify(clientMetadata) : clientMetadata,
  }
}

/** Where a provider without OpenID Connect says who a person is. */
function identityEndpoint(given) {
  if (given === undefined) return undefined
  const { url, subject, claims = {} } = optionsOf('identity of a provider', given)
  return { url: String(url), subject, claims: Object.entries(claims) }
}

/** Whose sessions there are, before the client is known. */
function pair(given) {
  const { issuer, clientId } = optionsOf('registered of a provider', given)
  return [String(issuer), String(clientId)]
}

/** The settings, ready to be made a site of. */
function nativeSetup({ key, oldKeys = [] }, providers) {
  if (key === undefined) throw new TypeError('a site needs a key: 32 bytes, their text, or a Key')
  const made = key === TESTING ? native.NativeSiteSetup.forTests() : native.NativeSiteSetup.of(nativeKey(key))
  for (const old of oldKeys) made.also(nativeKey(old))
  for (const { id, client, title, scope, identity, parameters = {}, callback, callbackMode, tenant, registered } of providers) {
    const pairs = Object.entries(parameters).map(([name, value]) => [name, String(value)])
    const asked = scope ?? (identity ? '' : 'openid profile email')
    const given = { id, title, scope: names(asked), identity: identityEndpoint(identity), parameters: pairs, callback, callbackMode, tenant, registered: registered && pair(registered) }
    lifted(() => (client instanceof Client ? made.provider(nativeClient(client), given) : made.later(given)))
  }
  return made
}

module.exports = { fromEnvironment, nativeOptions, nativeSetup, providersOf, setup }
