'use strict'

// The settings of a site.

const native = require('#native')
const { Client, nativeClient } = require('../client.cjs')
const { lift, lifted } = require('../errors.cjs')
const { checkLimit } = require('../exchange.cjs')
const { nativeKey } = require('../keys.cjs')
const { optionsOf, textsOf } = require('../options.cjs')
const { isLoopback } = require('../server.cjs')
const { SITE_SETTINGS } = require('./site-settings.cjs')

/** The key for tests, which is public: a site that others could reach refuses it. */
const TESTING = 'testing'

const setup = (what) => lift(new Error(native.webSetupError(what)))

/** The providers of a site: several, or one whose settings are the site's own; none where they are looked up. */
function providersOf({ provider, providers, client, id = 'login', title, scope, identity, parameters, callback, responseMode, apiOrigins, registered }) {
  const given = providers ?? (provider !== undefined && client === undefined ? [] : undefined) ?? [{ id, title, client, scope, identity, parameters, callback, responseMode, apiOrigins, registered }]
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
  if (key === undefined) throw new TypeError('a site needs a key: 32 bytes, their text, or a SealingKey')
  const made = key === TESTING ? native.NativeSiteSetup.forTests() : native.NativeSiteSetup.of(nativeKey(key))
  for (const old of oldKeys) made.also(nativeKey(old))
  for (const { id, client, title, scope, identity, parameters = {}, callback, responseMode, tenant, registered } of providers) {
    const pairs = Object.entries(parameters).map(([name, value]) => [name, String(value)])
    const settings = { id, title, scope: names(scope), identity: identityEndpoint(identity), parameters: pairs, callback, responseMode, tenant, registered: registered && pair(registered) }
    const given = JSON.stringify(settings)
    lifted(() => (client instanceof Client ? made.provider(nativeClient(client), given) : made.later(given)))
  }
  return made
}

module.exports = { TESTING, nativeOptions, nativeSetup, providersOf, setup }
