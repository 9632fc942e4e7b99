'use strict'

// `AccessTokenVerifier`: verifies the access tokens that an API receives.

const { inspect } = require('#host')
const { Client, createIntrospecting, createVerifier } = require('./client.cjs')
const { MisuseError } = require('./errors.cjs')
const { kindError } = require('./kinds.cjs')
const { refuseUnknown } = require('./options.cjs')
const { checkUnicode } = require('./unicode.cjs')

/** The requirements that a route may have in addition to those of its API. */
const ROUTE_REQUIREMENTS = ['scope', 'acrValues', 'maxAge']
/** Thumbprints of the keys whose possession the request has proved (RFC 9449, RFC 8705). */
const PROOF = ['jkt', 'x5tS256']
/** The options of `verify`. */
const VERIFY_OPTIONS = [...ROUTE_REQUIREMENTS, ...PROOF]
/** The parts of a request, and the options of `verifyRequest`. */
const REQUEST_OPTIONS = ['method', 'url', 'authorization', 'dpop', 'x5tS256', ...ROUTE_REQUIREMENTS]
/** The options that only requests with DPoP proofs need. */
const PROOF_OPTIONS = ['dpopMaxAge', 'dpopNonceKey', 'dpopReplay']
/** The options of every verifier. */
const COMMON_OPTIONS = ['audience', 'clockSkew', 'dpopAlgs', 'realm', ...PROOF_OPTIONS, ...ROUTE_REQUIREMENTS]
/** The options of a verifier of JWT access tokens (RFC 9068). */
const JWT_OPTIONS = ['profile', 'algs', ...COMMON_OPTIONS]

/** Checks the `audience` option: one or more identifiers of the API, none of them empty. */
function checkAudience(audience) {
  const isList = typeof audience === 'object' && audience !== null
  const audiences = isList ? [...audience] : [audience]
  if (audiences.length === 0 || audiences.includes('')) {
    const message = 'audience must contain at least one identifier, and no empty one [form.malformed_parameter]'
    throw new MisuseError({ message, code: 'form.malformed_parameter', kind: 'misuse', advice: 'give_up' })
  }
  return isList ? audiences : audience
}

/** A key of bytes as text in base64url; any other as it is. Edge runtimes have no `Buffer`. */
function keyText(key) {
  if (!(key instanceof Uint8Array)) return key
  const text = btoa(Array.from(key, (byte) => String.fromCharCode(byte)).join(''))
  return text.replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')
}

/** The options that have a value. */
function present(options) {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined))
}

/** Verifies the access tokens of one server for one API. */
class AccessTokenVerifier {
  #server
  #client
  #common
  #proofs
  #verify

  constructor(server, {
    timeoutMs, network, fetch, send, accessTokenEncryptionAlg, accessTokenEncryptionEnc, decryptionKeys, ...common
  } = {}) {
    refuseUnknown(JWT_OPTIONS, common)
    const encryption = { accessTokenEncryptionAlg, accessTokenEncryptionEnc, decryptionKeys }
    // The client ID is never sent: fetching the keys requires no client.
    const options = { clientId: 'resource-server', clientAuth: 'none', timeoutMs, network, fetch, send, ...encryption }
    this.#server = server
    this.#client = new Client(server, options)
    // Copied to arrays: an iterator can be read only once, but every verification reads them.
    const list = (value) => (typeof value === 'object' && value !== null ? [...value] : value)
    const { dpopMaxAge, dpopNonceKey, dpopReplay, ...rest } = common
    const { scope, acrValues } = rest
    this.#proofs = present({ dpopMaxAge, dpopNonceKey: keyText(dpopNonceKey), dpopReplay })
    this.#common = { ...rest, audience: checkAudience(common.audience), scope: list(scope), acrValues: list(acrValues) }
    this.#useClient(this.#client)
  }

  /** A verifier that introspects each token at the server, as this client (RFC 7662). */
  static introspecting(client, {
    cacheMaxAge, cacheEntries, signedResponseAlg, signedResponseAudience, ...common
  } = {}) {
    if (!(client instanceof Client)) throw kindError('client must be a Client, since a server answers introspection requests only from its clients', client)
    refuseUnknown(COMMON_OPTIONS, common)
    const verifier = new AccessTokenVerifier(client.server, common)
    verifier.#useClient(createIntrospecting(client, [signedResponseAlg, signedResponseAudience, cacheMaxAge, cacheEntries]))
    return verifier
  }

  /** Checks the requirements now, so that a mistake is reported at startup rather than with the first token. */
  #useClient(client) {
    this.#client = client
    this.#verify = client[createVerifier](this.#common)
    if (Object.keys(this.#proofs).length > 0) {
      client.exchange.verifyApiRequest({ ...this.#common, ...this.#proofs, method: '', url: '' })
    }
  }

  get server() { return this.#server }

  /** Verifies a token. */
  async verify(token, { signal, timeoutMs, ...requirements } = {}) {
    const call = { signal, timeoutMs }
    const isPlain = typeof token === 'string' && this.#verify !== undefined && Object.keys(requirements).length === 0
    if (isPlain) return this.#verify(checkUnicode(token, 'token'), call)
    return this.#client.verifyAccessToken(this.#arguments(token, requirements), call)
  }

  /** An exchange that verifies a token, for your own driver. */
  verifyExchange(token, { moment, ...requirements } = {}) {
    return this.#client.exchange.verifyAccessToken(this.#arguments(token, requirements), { moment })
  }

  /** Verifies the token of a request, and its DPoP proof. */
  async verifyRequest({ signal, timeoutMs, ...request } = {}) {
    return this.#client.verifyApiRequest(this.#requestArguments(request), { signal, timeoutMs })
  }

  /** An exchange that verifies a request, for your own driver. */
  verifyRequestExchange({ moment, ...request } = {}) {
    return this.#client.exchange.verifyApiRequest(this.#requestArguments(request), { moment })
  }

  /** Exports the fetched public keys of the server, to be stored. */
  exportKeys() { return this.#client.exportKeys() }

  /** Imports exported keys, unless the verifier has newer ones. */
  importKeys(text) { this.#client.importKeys(text) }

  /** The arguments of the operation: a route's requirements replace those of its API. */
  #arguments(token, requirements) {
    refuseUnknown(VERIFY_OPTIONS, requirements)
    return { token, ...this.#common, ...present(requirements) }
  }

  #requestArguments(request) {
    refuseUnknown(REQUEST_OPTIONS, request)
    return { ...this.#common, ...this.#proofs, ...present(request) }
  }

  [inspect.custom](depth, options) {
    return `AccessTokenVerifier ${inspect({ issuer: this.server.issuer, audience: this.#common.audience }, options)}`
  }
}

module.exports = { AccessTokenVerifier }
