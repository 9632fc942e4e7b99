'use strict'

// `Site.fromEnv`: the options of a site from environment variables, with all mistakes reported at startup.

const { environment } = require('#host')
const native = require('#native')
const { Client } = require('../client.cjs')
const { toVariables } = require('../client-auth.cjs')
const { errorFromNative, callNative } = require('../errors.cjs')
const { nativeKey } = require('../keys.cjs')
const { isLoopback } = require('../server.cjs')
const { SealedStore, StoreAt } = require('../stores.cjs')
const { TESTING, setupError } = require('./settings.cjs')

/** Variables that a site requires; the client reads its own. */
const REQUIRED = ['OAUTH_BASE_URL', 'OAUTH_KEY']
const SECRETS = ['OAUTH_CLIENT_SECRET']

const LOOPBACK_HINT = "for tests on this machine, set OAUTH_TRANSPORT=loopback_http or transport: 'loopback_http'"

/** Parses a variable. The error names it, but does not show its value. */
function parseVariable(variable, problem, call) {
  try {
    return call()
  } catch {
    throw setupError(`${variable}: ${problem}`)
  }
}

/** The settings of the client. One error names all missing variables, the client's own and the site's. */
function clientSettings(variables) {
  // An empty secret counts as missing, as in a file that was not filled in.
  const missing = [...REQUIRED.filter((name) => !variables[name]), ...SECRETS.filter((name) => variables[name] === '')]
  let settings
  try {
    settings = callNative(() => native.NativeSettings.fromEnv(variables))
  } catch (error) {
    if (error.code !== 'environment.missing') throw error
    if (variables.OAUTH_CLIENT_FILE) throw error
    const namesServer = variables.OAUTH_ISSUER || variables.OAUTH_PROVIDER
    if (!variables.OAUTH_CLIENT_ID) missing.unshift('OAUTH_CLIENT_ID')
    if (!namesServer) missing.unshift('OAUTH_ISSUER or OAUTH_PROVIDER')
    if (missing.length === 0) throw error
  }
  if (missing.length > 0) throw errorFromNative(new Error(native.missingVariablesError(missing.join(', '))))
  return settings
}

/** The `transport` option from its variable. */
function readTransport({ OAUTH_TRANSPORT: transport }) {
  if (!transport) return undefined
  if (transport !== 'https' && transport !== 'loopback_http') throw setupError('OAUTH_TRANSPORT must be https or loopback_http')
  return transport
}

/** The values of OAUTH_USERINFO: when UserInfo is requested. */
function readUserinfo({ OAUTH_USERINFO: value }) {
  if (!value) return undefined
  if (value !== 'never' && value !== 'when_missing') throw setupError('OAUTH_USERINFO must be never or when_missing')
  return value
}

/**
 * The scope and the identity endpoint of the provider: the application's, or else those of a preset without OpenID
 * Connect.
 */
function identification(settings, { scope, identity }) {
  if (identity !== undefined) return { scope, identity }
  const names = scope === undefined || typeof scope === 'string' ? scope : [...scope]
  const found = callNative(() => settings.identity([names ?? []].flat().join(' ')))
  if (!found) return { scope: names, identity }
  const { scope: presetScope, ...endpoint } = found
  return { scope: names ?? presetScope, identity: endpoint }
}

/** The options of a site from environment variables. One error names everything that is missing. */
function fromEnvironment({ env, clientOptions = {}, ...options }) {
  const variables = toVariables(env ?? environment())
  const transport = options.transport ?? readTransport(variables)
  const { network } = options
  const settingsOptions = { env, transport, network, ...clientOptions }
  // Checked now, so that the application does not start with missing variables; metadata is fetched for the first request.
  const settings = clientSettings(variables)
  const isLocal = isLoopback(transport)
  if (variables.OAUTH_ISSUER) {
    parseVariable('OAUTH_ISSUER', `not the https URL of an issuer; ${LOOPBACK_HINT}`, () => {
      const { issuer } = settings.server(isLocal)
      return native.discovery(issuer ?? variables.OAUTH_ISSUER, isLocal, undefined)
    })
  }
  const server = callNative(() => settings.server(isLocal))
  const registered = { issuer: server.issuer ?? server.server.issuer, clientId: settings.clientId }
  if (!URL.canParse(variables.OAUTH_BASE_URL)) throw setupError('OAUTH_BASE_URL must be a URL')
  const [key, ...oldKeys] = variables.OAUTH_KEY.split(/[\s,]+/).filter(Boolean)
  if (key !== TESTING) parseVariable('OAUTH_KEY', 'a key must be 32 bytes in base64url', () => [key, ...oldKeys].map(nativeKey))
  const id = variables.OAUTH_PROVIDER ?? 'login'
  const store = options.store ?? (variables.OAUTH_STORE && new SealedStore(new StoreAt(variables.OAUTH_STORE), key, { old: oldKeys }))
  const { scope, identity, title, parameters, callback, responseMode, apiOrigins, userinfo = readUserinfo(variables), logoutMaxAgeWithoutExpiry, ...site } = options
  const provider = {
    id, ...identification(settings, { scope, identity }), title, parameters, callback, responseMode, apiOrigins, registered, userinfo, logoutMaxAgeWithoutExpiry,
    client: () => Client.fromEnv(settingsOptions),
  }
  return { baseUrl: variables.OAUTH_BASE_URL, key, oldKeys, ...site, transport, store, providers: [provider] }
}

module.exports = { fromEnvironment }
