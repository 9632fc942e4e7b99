'use strict'

// The named options of each call. Unknown options are refused: one may be a misspelt security option.

const { checkUnicode } = require('./unicode.cjs')
const { SITE_SETTINGS } = require('./web/settings-table.cjs')

// Groups of options that several calls share.
const REQUEST = ['scope', 'resource', 'audience', 'extra', 'authorizationDetails']
const CALL = ['signal', 'timeoutMs']
const TRANSPORT = ['network', 'fetch', 'send']
const API = ['origins', 'allowance', 'expiredTokenReplies', 'onWait', 'onRateLimit', 'longestWaitMs', 'network', 'fetch']
const GRANT = ['subject', 'reuse', 'leaseMs', 'keepAliveMs', 'noticeMs']
const SIGN_IN = ['identityProvider', 'signIn', 'subjectTokenType']
const SOURCE = [...REQUEST, ...GRANT, 'store', 'onTokens', 'onNotice', 'origins']
const ASSERTION = ['audience', 'profile', 'clientId', 'exchangeAudience']
const PRESET = ['variables', 'options', 'loopback']

/** The options of a client, whether it is configured in code or by its environment. */
const CLIENT = [
  'redirectUris', 'headers', 'idTokenSignedResponseAlg', 'trustedAudiences', 'idTokenEncryptedResponseAlg',
  'idTokenEncryptedResponseEnc', 'userinfoSignedResponseAlg', 'userinfoEncryptedResponseAlg', 'userinfoEncryptedResponseEnc',
  'decryptionKeys', 'authorizationSignedResponseAlg', 'authorizationEncryptedResponseAlg', 'authorizationEncryptedResponseEnc',
  'requestObjectSigningAlg', 'requestObjectSigningKey', 'requestObjectEncryptionAlg', 'requestObjectEncryptionEnc',
  'accessTokenEncryptionAlg', 'accessTokenEncryptionEnc', 'tlsClientCertificateBoundAccessTokens', 'profile', 'dpopKey', 'timeoutMs', ...TRANSPORT,
]
const CONFIGURED = [...CLIENT, 'env', 'transport', 'signal']

const PROVIDER = ['title', 'scope', 'identity', 'parameters', 'callback', 'responseMode', 'apiOrigins', 'tenant', 'registered', 'userinfo', 'logoutMaxAgeWithoutExpiry']
const PLAIN_SITE_SETTINGS = SITE_SETTINGS.map(({ name }) => name).filter((name) => name !== 'baseUrl')
const SETTINGS = ['store', 'access', 'admit', 'errorPage', 'log', 'signedOut', 'rootPath', 'provider', 'network', ...PLAIN_SITE_SETTINGS]
const END_SESSION = ['idTokenHint', 'logoutHint', 'postLogoutRedirectUri', 'state', 'uiLocales']

const OPTIONS = {
  Client: ['clientId', 'registered', 'clientSecret', 'clientAuth', ...CLIENT],
  'Client.fromEnv': CONFIGURED,
  'Client.fromFile': CONFIGURED,
  'Client.fromJson': CONFIGURED,
  'Server.fromMetadata': ['transport'],
  provider: PRESET,
  providerFile: PRESET,
  discover: ['transport', 'prefer', ...TRANSPORT, ...CALL],
  discovery: ['transport', 'prefer', 'moment'],
  Network: [
    'ca', 'onlyCa', 'clientCertificate', 'clientKey', 'proxy', 'connectTimeoutMs', 'timeoutMs', 'userAgent', 'inFlightPerOrigin',
    'addresses',
  ],
  clientCredentials: SOURCE,
  source: [...SOURCE, ...SIGN_IN],
  keeper: [...REQUEST, ...GRANT, ...SIGN_IN, 'grantType', 'shared', 'longestRequestMs', 'moment'],
  endSessionUrl: END_SESSION,
  endSessionForm: END_SESSION,
  checkContexts: ['id', 'owner', 'client', 'redirectUri'],
  checkLogoutReturn: ['state'],
  'FrontChannelLogout.ends': ['issuer', 'sid'],
  redeem: ['resource', 'context', 'user', ...CALL],
  'exchange.redeem': ['resource', 'context', 'user', 'moment'],
  'a call': CALL,
  'an exchange': ['moment'],
  identityAssertionGrant: [...REQUEST, ...CALL],
  run: ['fetch', 'send', 'sign', 'requestTimeoutMs', ...CALL],
  keep: ['store', 'refused', 'onTokens', 'fetch', 'send', 'sign', 'requestTimeoutMs', ...CALL],
  'source.api': API,
  'server.api': ['app', 'user', ...API],
  fixedToken: ['origins', 'expiresAt', 'transport', 'network', 'fetch'],
  'Tokens.bearer': ['expiresAt'],
  tokensFromRefreshToken: ['scope'],
  ResourceConnection: [
    'clientName', 'clientMetadata', 'initialAccessToken', 'clientMetadataUrl', 'clientId', 'clientSecret', 'clientAuth', 'issuer',
    'issuers', 'onSeveralServers', 'signers', 'grantType', 'store', 'subject', 'open', 'device', 'show', 'identityProvider', 'signIn',
    'redirectUri', 'dpopKey', 'withoutResource', 'resource', 'tlsClientCertificateBoundAccessTokens', 'timeoutMs', 'wwwAuthenticate', 'transport',
    'network', 'onWait', 'onRateLimit', 'longestWaitMs',
  ],
  Grants: [
    'reuse', 'leaseMs', 'keepAliveMs', 'noticeMs', 'capacity', 'perSecond', 'atOnce', 'onRenewed', 'onEnded', 'onAuthorizationEnds',
  ],
  'Grants.get': [...REQUEST, 'stepUp'],
  'Grants.logIn': REQUEST,
  FileStore: ['access'],
  SqliteStore: ['access'],
  RedisStore: ['prefix', 'timeoutMs', 'replicas'],
  PostgresStore: ['timeoutMs'],
  SealedStore: ['old', 'names', 'plain'],
  'SealingKey.fromKeyring': ['service', 'name'],
  DpopKey: ['alg', 'passphrase'],
  'DpopKey.generate': ['alg'],
  'DpopKey.held': ['alg'],
  'DpopKey.open': ['alg'],
  privateKeyJwt: ['alg', 'kid', 'certificateThumbprint', 'audience', 'passphrase'],
  clientSecretJwt: ['alg', 'audience'],
  serviceAccount: ['subject'],
  assertionFile: ASSERTION,
  assertionFunction: ASSERTION,
  workloadIdentity: ['path', 'variable', 'audience', 'clientId', 'exchangeAudience', 'env'],
  Site: ['baseUrl', 'key', 'oldKeys', 'providers', 'client', 'id', ...PROVIDER, ...SETTINGS],
  'Site.fromEnv': ['env', 'clientOptions', ...PROVIDER, ...SETTINGS],
  'a provider of a site': ['id', 'client', ...PROVIDER],
  'identity of a provider': ['url', 'subject', 'claims'],
  'registered of a provider': ['issuer', 'clientId'],
  'an API of a site': ['url', 'methods'],
  'what a page needs': ['acr', 'maxAge', 'scope', 'tenant'],
  'site.handle': ['access', 'need'],
  'site.sveltekit': ['protect'],
  'site.testing': ['subject', 'provider', 'issuer', 'claims', 'acr', 'authTime', 'sid', 'local'],
}

/** Options of an API as a whole, which a single request must not have. */
const API_ONLY = API.filter((name) => !['onRateLimit', 'longestWaitMs'].includes(name))

/** The Levenshtein distance between two names. */
function editDistance(a, b) {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (const [index, letter] of [...a].entries()) {
    const next = [index + 1]
    for (const [column, otherLetter] of [...b].entries()) {
      next.push(Math.min(next[column] + 1, row[column + 1] + 1, row[column] + (letter === otherLetter ? 0 : 1)))
    }
    row = next
  }
  return row.at(-1)
}

/** The known name that is closest to a misspelt one, if any is close enough. */
function nearestName(name, names) {
  const [[best, steps] = []] = names
    .map((candidate) => [candidate, editDistance(name.slice(0, 64).toLowerCase(), candidate.toLowerCase())])
    .sort(([, a], [, b]) => a - b)
  return steps <= Math.max(2, Math.floor(name.length / 3)) ? best : undefined
}

/** Throws for unknown names; `kind` says in the message what they name. */
function refuseUnknown(names, options, kind = 'option') {
  const unknown = Object.keys(options).find((name) => !names.includes(name))
  if (unknown === undefined) return options
  const suggestion = nearestName(unknown, names)
  const hint = suggestion === undefined ? `there ${names.length > 1 ? 'are' : 'is'} ${names.join(', ')}` : `perhaps ${suggestion}`
  throw new TypeError(`${unknown.slice(0, 64)}: there is no such ${kind}; ${hint}`)
}

/** Returns the given options unchanged, after checking that this call accepts them. */
function checkOptions(call, input = {}) {
  const names = OPTIONS[call]
  const isObject = typeof input === 'object' && input !== null && !Array.isArray(input) && !ArrayBuffer.isView(input)
  if (!isObject) throw new TypeError(`the options of ${call} must be an object with these members: ${names.join(', ')}`)
  refuseUnknown(names, input)
  for (const [name, value] of Object.entries(input)) checkValue(name, value)
  return input
}

/** Options that must be lists. A string is refused: it would be iterated by character. */
const LISTS = ['origins', 'redirectUris', 'trustedAudiences', 'issuers', 'returnOrigins', 'apiOrigins', 'options']
/** Options that must not be empty strings. An empty one usually comes from an unset environment variable. */
const NONEMPTY = ['clientId', 'subject']

/** Checks the value of an option, before anything else happens. */
function checkValue(name, value) {
  if (LISTS.includes(name) && value !== undefined && (typeof value !== 'object' || value === null)) {
    throw new TypeError(`${name} must be a list`)
  }
  if (NONEMPTY.includes(name) && value === '') throw new TypeError(`${name} must not be empty`)
  if (name === 'signal') checkSignal(value)
  checkUnicode(value, name)
}

function checkSignal(signal) {
  if (signal !== undefined && signal !== null && typeof signal.throwIfAborted !== 'function') {
    throw new TypeError('signal must be an AbortSignal')
  }
}

/** Splits the options of one request: those of this package, and the rest, which is passed to `fetch`. */
function splitInit({ onRateLimit, longestWaitMs, ...fetchInit } = {}) {
  for (const name of Object.keys(fetchInit)) {
    if (API_ONLY.includes(name)) throw new TypeError(`${name}: there is no such option of a single request; pass it to api()`)
    const suggestion = ['onRateLimit', 'longestWaitMs'].find((candidate) => editDistance(name.toLowerCase(), candidate.toLowerCase()) <= 2)
    if (suggestion !== undefined) throw new TypeError(`${name}: there is no such option; perhaps ${suggestion}`)
  }
  return { onRateLimit, longestWaitMs, others: fetchInit }
}

/** The strings of a list option, if it is given. A single string is refused: it would be iterated by character. */
function toStrings(name, value) {
  if (value === undefined) return undefined
  if (typeof value === 'string' || typeof value?.[Symbol.iterator] !== 'function') {
    throw new TypeError(`${name} must be a list, not a string`)
  }
  return [...value].map(String)
}

module.exports = { OPTIONS, checkSignal, splitInit, refuseUnknown, checkOptions, toStrings }
