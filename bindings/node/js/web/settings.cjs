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
const { SITE_SETTINGS } = require('./site-settings.cjs')

/** Variables that a site cannot be without; the client's own are read by the client. */
const NEEDED = ['OAUTH_BASE_URL', 'OAUTH_KEY']
const SECRETS = ['OAUTH_CLIENT_SECRET']

const ON_THIS_MACHINE = "OAUTH_TRANSPORT=loopback_http, or transport: 'loopback_http', is for tests on this machine"

/** The key for tests, which everybody has: no site that others could reach takes it. */
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

/** The settings of the client, with all that is missing named at once: the client's own variables and the site's. */
function clientSettings(variables) {
  // An empty secret is one that was left out, such as in a file that nobody has filled in.
  const missing = [...NEEDED.filter((name) => !variables[name]), ...SECRETS.filter((name) => variables[name] === '')]
  let settings
  try {
    settings = lifted(() => native.NativeSettings.fromEnv(variables))
  } catch (error) {
    if (error.code !== 'environment.missing') throw error
    if (variables.OAUTH_CLIENT_FILE) throw error
    const own = variables.OAUTH_PROVIDER ? ['OAUTH_CLIENT_ID'] : ['OAUTH_ISSUER', 'OAUTH_CLIENT_ID']
    missing.unshift(...own.filter((name) => !variables[name]))
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

/** Options of a site out of environment variables; what is missing is named at once. */
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

const names = (scope) => (scope === undefined || typeof scope === 'string' ? scope : [...scope].join(' '))

/** An API: a URL, or one with the methods that pages may use. */
function upstream(given) {
  if (typeof given === 'string' || given instanceof URL) return String(given)
  const { url, methods } = optionsOf('an API of a site', given)
  return { url: String(url), methods: textsOf('methods', methods) }
}

/** How settings cross, which is as JSON; it has no word for a time without end. */
const crossing = {
  plain: (_, value) => value,
  document: (_, value) => value,
  urls: (_, value) => [value].flat().map(String),
  texts: textsOf,
  span: (name, ms) => Math.min(checkLimit(ms, name), Number.MAX_VALUE) / 1000,
  apis: (_, given) => Object.fromEntries(Object.entries(given).map(([name, api]) => [name, upstream(api)])),
}

/** The settings as the addon takes them. */
function nativeOptions(options) {
  const given = SITE_SETTINGS.filter(({ name }) => options[name] !== undefined)
  const settings = given.map(({ name, wire, shape }) => [wire, crossing[shape](name, options[name])])
  const lookup = options.provider === undefined ? 'fixed' : 'asked'
  return JSON.stringify({ ...Object.fromEntries(settings), lookup })
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
    const settings = { id, title, scope: names(scope), identity: identityEndpoint(identity), parameters: pairs, callback, callbackMode, tenant, registered: registered && pair(registered) }
    const given = JSON.stringify(settings)
    lifted(() => (client instanceof Client ? made.provider(nativeClient(client), given) : made.later(given)))
  }
  return made
}

module.exports = { fromEnvironment, nativeOptions, nativeSetup, providersOf, setup }
