'use strict'

// `Server`: an authorization server, from a preset, from a metadata document, or by discovery.

const { inspect } = require('#host')
const native = require('#native')
const { Source, createApi, checkSource } = require('./api.cjs')
const { callNative, copyOfError } = require('./errors.cjs')
const { Exchange, runOver } = require('./exchange.cjs')
const { kindError } = require('./kinds.cjs')
const { selectTransport } = require('./network.cjs')
const { checkOptions } = require('./options.cjs')
const { checkText, textOrUrl } = require('./paths.cjs')

const natives = new WeakMap()

/** The native half of a server. */
function nativeServer(server) {
  const handle = natives.get(server)
  if (handle === undefined) throw kindError('server must be a Server, from provider, discover or Server.fromMetadata', server)
  return handle
}

/** One authorization server. */
class Server {
  constructor(handle) {
    if (!(handle instanceof native.NativeServer)) {
      throw new TypeError('a Server must be created with provider, discover or Server.fromMetadata')
    }
    natives.set(this, handle)
  }

  /** A server from a metadata document (RFC 8414), whose `issuer` must be the given one. */
  static fromMetadata(issuer, metadata, options) {
    const { transport } = checkOptions('Server.fromMetadata', options)
    if (metadata === undefined) throw new TypeError('metadata must be an object or JSON text')
    const loopback = isLoopback(transport)
    const text = typeof metadata === 'string' ? metadata : JSON.stringify(metadata)
    return new Server(callNative(() => native.NativeServer.fromMetadata(textOrUrl(issuer, 'issuer'), text, loopback)))
  }

  get issuer() { return nativeServer(this).issuer }
  get metadata() { return JSON.parse(nativeServer(this).metadata) }
  /** Whether each context of an application that uses this server needs its own redirect URI. */
  get needsDistinctRedirectUri() { return nativeServer(this).needsDistinctRedirectUri }
  /** The origins of the preset's API, to which its tokens may be sent. */
  get apiOrigins() { return callNative(() => nativeServer(this).apiOrigins()) }

  /** The preset's API: each request carries the token that its route requires, the application's or the user's. */
  api(input) {
    const { app, user, ...options } = checkOptions('server.api', input)
    const sources = {}
    if (app !== undefined) sources.application = checkSource(app, 'app')
    if (user !== undefined) sources.user = checkSource(user, 'user')
    const requestTransport = options.network === undefined ? { fetch: Source.getFetch(app ?? user) } : {}
    return createApi({ server: nativeServer(this) }, sources, { ...requestTransport, ...options })
  }

  [inspect.custom](depth, options) {
    return `Server ${inspect({ issuer: this.issuer }, options)}`
  }
}

function isLoopback(transport = 'https') {
  if (transport !== 'https' && transport !== 'loopback_http') {
    throw new TypeError("transport must be 'https' or 'loopback_http'")
  }
  return transport === 'loopback_http'
}

/** The server of a preset. `loopback` replaces its origin with that of a test server. */
function provider(name, input) {
  const { variables = {}, options = [], loopback } = checkOptions('provider', input)
  return new Server(callNative(() => native.NativeServer.fromProvider(checkText(name, 'name'), undefined, variables, options, loopback)))
}

/** The server that the text of your own provider file describes. */
function providerFile(text, input) {
  const { variables = {}, options = [], loopback } = checkOptions('providerFile', input)
  return new Server(callNative(() => native.NativeServer.fromProvider(undefined, checkText(text, 'text'), variables, options, loopback)))
}

/** The names of the presets. */
function providers() {
  return native.providerNames()
}

/** Fetches the metadata of a server. */
async function discover(issuer, options) {
  const { transport, prefer, network, fetch, send, ...call } = checkOptions('discover', options)
  const requestTransport = selectTransport(network, fetch, send)
  const fetchMetadata = (issuer) => runOver(discovery(issuer, { transport, prefer }), { ...requestTransport, requestTimeoutMs: call.timeoutMs }, call).catch((error) => {
    // The timeout of the whole call does not say which request it ended.
    const isUnnamed = error.code === 'lost.timeout' && error.url === undefined
    throw isUnnamed ? copyOfError(error, { message: `${issuer}: ${error.message}`, url: String(issuer) }) : error
  })
  // `URL` adds a slash to a URL without a path, which few issuers end with. The metadata URL is the same.
  if (!(issuer instanceof URL) || issuer.href !== `${issuer.origin}/`) return fetchMetadata(issuer)
  return fetchMetadata(issuer.origin).catch((error) => {
    if (error.code !== 'metadata.issuer') throw error
    return fetchMetadata(issuer)
  })
}

/** Discovery as an exchange, for your own driver. */
function discovery(issuer, options) {
  const { transport, prefer, moment } = checkOptions('discovery', options)
  const exchange = callNative(() => native.discovery(textOrUrl(issuer, 'issuer'), isLoopback(transport), prefer))
  return new Exchange(exchange, (raw) => new Server(raw.server), moment)
}

module.exports = { Server, discover, discovery, isLoopback, nativeServer, provider, providerFile, providers }
