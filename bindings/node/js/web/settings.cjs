'use strict'

// Checks the settings of a site, and converts them for the native half. Their names are in settings-table.cjs (generated).

const native = require('#native')
const { Client, nativeClient } = require('../client.cjs')
const { errorFromNative, callNative } = require('../errors.cjs')
const { checkLimit } = require('../exchange.cjs')
const { nativeKey } = require('../keys.cjs')
const { kindError } = require('../kinds.cjs')
const { checkOptions, toStrings } = require('../options.cjs')
const { SITE_SETTINGS } = require('./settings-table.cjs')

/** The well-known key for tests; a site on any address but a loopback address refuses it. */
const TESTING = 'testing'

const setupError = (detail) => errorFromNative(new Error(native.webSetupError(detail)))

/** The providers of a site: several, or one configured by the site's own options; none if they are looked up. */
function readProviders({
  provider, providers, client, id = 'login', title, scope, identity, parameters, callback, responseMode, apiOrigins, registered, userinfo, logoutMaxAgeWithoutExpiry,
}) {
  const listed = providers ?? (provider !== undefined && client === undefined ? [] : undefined) ?? [
    { id, title, client, scope, identity, parameters, callback, responseMode, apiOrigins, registered, userinfo, logoutMaxAgeWithoutExpiry },
  ]
  return listed.map((named) => {
    const provider = checkOptions('a provider of a site', named)
    if (!(provider.client instanceof Client) && typeof provider.client !== 'function') {
      throw kindError('client must be a Client, or a function that returns one', provider.client)
    }
    return provider
  })
}

const names = (scope) => (scope === undefined || typeof scope === 'string' ? scope : [...scope].join(' '))

/** An API that pages may call: its URL, with the methods that they may use if these are limited. */
function apiSetting(api) {
  if (typeof api === 'string' || api instanceof URL) return String(api)
  const { url, methods } = checkOptions('an API of a site', api)
  return { url: String(url), methods: toStrings('methods', methods) }
}

/** Converters of each shape of setting to JSON for the native half. JSON cannot represent an infinite time. */
const crossing = {
  plain: (_, value) => value,
  document: (_, value) => value,
  urls: (_, value) => [value].flat().map(String),
  texts: toStrings,
  span: (name, ms) => Math.min(checkLimit(ms, name), Number.MAX_VALUE) / 1000,
  apis: (_, apiMap) => Object.fromEntries(Object.entries(apiMap).map(([name, api]) => [name, apiSetting(api)])),
}

/** The settings of a site, as the native half expects them. */
function nativeOptions(options) {
  const presentSettings = SITE_SETTINGS.filter(({ name }) => options[name] !== undefined)
  const settings = presentSettings.map(({ name, wire, shape }) => [wire, crossing[shape](name, options[name])])
  const lookup = options.provider === undefined ? 'fixed' : 'asked'
  return JSON.stringify({ ...Object.fromEntries(settings), lookup })
}

/** The identity endpoint of a provider without OpenID Connect. */
function identityEndpoint(identity) {
  if (identity === undefined) return undefined
  const { url, subject, claims = {} } = checkOptions('identity of a provider', identity)
  return { url: String(url), subject, claims: Object.entries(claims) }
}

/** The issuer and client id of sessions, for a provider whose client is not known yet. */
function issuerAndClientId(registered) {
  const { issuer, clientId } = checkOptions('registered of a provider', registered)
  return [String(issuer), String(clientId)]
}

/** The keys and providers of a site, as the native half expects them. */
function nativeSetup({ key, oldKeys = [] }, providers) {
  if (key === undefined) throw new TypeError('key must be given: 32 bytes, their base64url text, or a SealingKey')
  const setup = key === TESTING ? native.NativeSiteSetup.forTests() : native.NativeSiteSetup.of(nativeKey(key))
  for (const old of oldKeys) setup.also(nativeKey(old))
  for (const { id, client, title, scope, identity, parameters = {}, registered, ...plain } of providers) {
    const pairs = Object.entries(parameters).map(([name, value]) => [name, String(value)])
    const { callback, responseMode, tenant, userinfo, logoutMaxAgeWithoutExpiry } = plain
    const settings = {
      id, title, scope: names(scope), identity: identityEndpoint(identity), parameters: pairs, callback, responseMode, tenant, userinfo, logoutMaxAgeWithoutExpiry,
      registered: registered && issuerAndClientId(registered),
    }
    const settingsJson = JSON.stringify(settings)
    callNative(() => (client instanceof Client ? setup.provider(nativeClient(client), settingsJson) : setup.later(settingsJson)))
  }
  return setup
}

module.exports = { TESTING, nativeOptions, nativeSetup, readProviders, setupError }
