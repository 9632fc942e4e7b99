'use strict'

// Verification of access tokens, for APIs.

const { inspect } = require('#host')
const { Client, introspectingOf, createVerifier } = require('./client.cjs')
const { MisuseError } = require('./errors.cjs')
const { refuseUnknown } = require('./options.cjs')
const { checkUnicode } = require('./unicode.cjs')

/** The requirements of a route beyond those of its API. */
const NEEDS = ['scope', 'acrValues', 'maxAge']
/** The keys that a request has proved possession of. */
const PROOF = ['jkt', 'x5tS256']
/** The options of a call of `verify`. */
const SHOWN = [...NEEDS, ...PROOF]
/** The options of a verifier, for all tokens of an API. */
const COMMON = ['audience', 'clockSkew', 'dpopAlgs', 'realm', ...NEEDS]
/** The requirements of a route for tokens that are JWTs. */
const OF_JWTS = ['profile', 'algs', ...COMMON]

/** The identifiers of an API: one or more, and none is empty. */
function audiences(given) {
  const isList = typeof given === 'object' && given !== null
  const all = isList ? [...given] : [given]
  if (all.length === 0 || all.includes('')) {
    const message = 'audience: an API has one or more, and none is empty [form.malformed_parameter]'
    throw new MisuseError({ message, code: 'form.malformed_parameter', kind: 'misuse', advice: 'give_up' })
  }
  return isList ? all : given
}

/** Verifies the access tokens of one server for one API. */
class AccessTokenVerifier {
  #server
  #client
  #common
  #verify

  constructor(server, {
    timeoutMs, network, fetch, send, accessTokenEncryptionAlg, accessTokenEncryptionEnc, decryptionKeys, ...common
  } = {}) {
    refuseUnknown(OF_JWTS, common)
    const encryption = { accessTokenEncryptionAlg, accessTokenEncryptionEnc, decryptionKeys }
    // No request names this client: anyone may fetch the keys.
    const options = { clientId: 'resource-server', clientAuth: 'none', timeoutMs, network, fetch, send, ...encryption }
    this.#server = server
    this.#client = new Client(server, options)
    // Iterators can be read only once, and the verifier reads its requirements for each token.
    const list = (value) => (typeof value === 'object' && value !== null ? [...value] : value)
    const { scope, acrValues } = common
    this.#common = { ...common, audience: audiences(common.audience), scope: list(scope), acrValues: list(acrValues) }
    this.#over(this.#client)
  }

  /** A verifier that introspects each token at the server, as this client (RFC 7662). */
  static introspecting(client, {
    cacheMaxAge, cacheEntries, signedResponseAlg, signedResponseAudience, ...common
  } = {}) {
    if (!(client instanceof Client)) throw new TypeError('the client is a Client: a server answers those that it knows')
    refuseUnknown(COMMON, common)
    const made = new AccessTokenVerifier(client.server, common)
    made.#over(introspectingOf(client, [signedResponseAlg, signedResponseAudience, cacheMaxAge, cacheEntries]))
    return made
  }

  /** Checks the requirements when the verifier is created, rather than with the first token. */
  #over(client) {
    this.#client = client
    this.#verify = client[createVerifier](this.#common)
  }

  get server() { return this.#server }

  /** Verifies a token. */
  async verify(token, { signal, timeoutMs, ...given } = {}) {
    const call = { signal, timeoutMs }
    const isPlain = typeof token === 'string' && this.#verify !== undefined && Object.keys(given).length === 0
    if (isPlain) return this.#verify(checkUnicode(token, 'token'), call)
    return this.#client.verifyAccessToken(this.#asked(token, given), call)
  }

  /** An exchange that verifies a token, for your own driver. */
  verifyExchange(token, { moment, ...given } = {}) {
    return this.#client.exchange.verifyAccessToken(this.#asked(token, given), { moment })
  }

  /** Exports the fetched public keys of the server, to be stored. */
  exportKeys() { return this.#client.exportKeys() }

  /** Imports exported keys, unless the verifier has newer ones. */
  importKeys(text) { this.#client.importKeys(text) }

  #asked(token, given) {
    refuseUnknown(SHOWN, given)
    const asked = { token, ...this.#common }
    for (const name of Object.keys(given)) {
      if (given[name] !== undefined) asked[name] = given[name]
    }
    return asked
  }

  [inspect.custom](depth, options) {
    return `AccessTokenVerifier ${inspect({ issuer: this.server.issuer, audience: this.#common.audience }, options)}`
  }
}

module.exports = { AccessTokenVerifier }
