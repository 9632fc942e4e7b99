'use strict'

const { inspect } = require('node:util')
const native = require('./native.cjs')
const { lift, lifted } = require('./errors.cjs')
const { Exchange, checkLimit, momentOf, perform, wait } = require('./exchange.cjs')
const { checkStore } = require('./keep.cjs')
const { Keeper } = require('./keeper.cjs')
const { TokenSource } = require('./source.cjs')
const { Tokens, Flow, flowText, nativeTokens } = require('./tokens.cjs')

const tokensOf = (raw) => new Tokens(raw.tokens)
const stateOf = (raw) => JSON.parse(raw.introspection)
const nothing = () => undefined

/** Names with spaces between. */
function words(scope = []) {
  if (typeof scope === 'string') return scope
  if (typeof scope?.[Symbol.iterator] !== 'function') throw new TypeError('scope must be a text or a list of names')
  return [...scope].join(' ')
}

const servers = new WeakMap()

/** One authorization server. */
class Server {
  constructor(known, loopback) {
    if (!(known instanceof native.NativeServer)) {
      throw new TypeError('servers come from provider, discover or Server.fromMetadata')
    }
    servers.set(this, { known, loopback })
  }

  /** A server by a metadata document at hand (RFC 8414), which must be the issuer's own. */
  static fromMetadata(issuer, metadata, { transport } = {}) {
    const loopback = isLoopback(transport)
    const text = typeof metadata === 'string' ? metadata : JSON.stringify(metadata)
    return new Server(lifted(() => native.NativeServer.fromMetadata(String(issuer), text, loopback)), loopback)
  }

  get issuer() { return servers.get(this).known.issuer }
  get metadata() { return JSON.parse(servers.get(this).known.metadata) }
  /** The origins of the preset's API: where its tokens may be sent. */
  get apiOrigins() { return lifted(() => servers.get(this).known.apiOrigins()) }

  [inspect.custom](depth, options) {
    return `Server ${inspect({ issuer: this.issuer }, options)}`
  }
}

function isLoopback(transport = 'https') {
  if (transport !== 'https' && transport !== 'loopback_http') {
    throw new TypeError("transport is 'https' or 'loopback_http'")
  }
  return transport === 'loopback_http'
}

/** A preset, by name. `loopback` moves it to a test server. */
function provider(name, { variables = {}, options = [], loopback } = {}) {
  const make = () => native.NativeServer.fromProvider(name, variables, options, loopback)
  return new Server(lifted(make), loopback !== undefined)
}

/** Their names. */
function providers() {
  return native.providerNames()
}

/** Fetches what a server says about itself. */
async function discover(issuer, { transport, fetch, ...call } = {}) {
  return perform(discovery(issuer, { transport }), { fetch, requestTimeoutMs: call.timeoutMs }, call)
}

/** The same as an exchange, for a driver of your own. */
function discovery(issuer, { transport, moment } = {}) {
  const loopback = isLoopback(transport)
  const exchange = lifted(() => native.discovery(String(issuer), loopback))
  return new Exchange(exchange, (raw) => new Server(raw.server, loopback), moment)
}

/** The conversations of a client, for a driver of your own. */
class Exchanges {
  #client

  constructor(client) {
    this.#client = client
  }

  clientCredentials({ scope, moment } = {}) {
    return this.#of((client) => client.clientCredentials(words(scope)), tokensOf, moment)
  }

  redeem(flow, callback, { moment } = {}) {
    return this.#of((client) => client.redeem(flowText(flow), String(callback)), tokensOf, moment)
  }

  refresh(tokens, { scope, moment } = {}) {
    return this.#of((client) => client.refresh(nativeTokens(tokens), words(scope)), tokensOf, moment)
  }

  password({ username, password, scope }, { moment } = {}) {
    return this.#of((client) => client.password(username, password, words(scope)), tokensOf, moment)
  }

  revoke(token, { hint, moment } = {}) {
    return this.#of((client) => client.revoke(token, hint), nothing, moment)
  }

  introspect(token, { hint, moment } = {}) {
    return this.#of((client) => client.introspect(token, hint), stateOf, moment)
  }

  #of(make, finish, moment) {
    return new Exchange(lifted(() => make(this.#client)), finish, moment)
  }
}

/** This client, as one server knows it. */
class Client {
  #native
  #server
  #transport
  #id

  constructor(server, { clientId, clientSecret, clientAuth, redirectUris, headers = {}, timeoutMs, fetch } = {}) {
    if (!servers.has(server)) throw new TypeError('server must be a Server')
    if (fetch !== undefined && typeof fetch !== 'function') throw new TypeError('fetch must be a function')
    const options = { clientId, clientSecret, clientAuth, redirectUris, headers }
    this.#native = lifted(() => new native.NativeClient(servers.get(server).known, options))
    this.#server = server
    this.#transport = { fetch, requestTimeoutMs: checkLimit(timeoutMs) }
    this.#id = clientId
    this.exchange = new Exchanges(this.#native)
    Object.defineProperty(this, 'exchange', { enumerable: false, writable: false })
  }

  get server() { return this.#server }
  get clientId() { return this.#id }

  /** A token for the client itself, kept fresh. */
  clientCredentials(options = {}) {
    return this.#source('client_credentials', undefined, options)
  }

  /** Tokens of a person, kept fresh: from a login, or from the store. */
  source(tokens, options = {}) {
    return this.#source('refresh_token', tokens, options)
  }

  /** One grant, kept fresh by a driver of your own. */
  keeper(tokens, { grantType = 'refresh_token', shared = true, subject, scope, resource, reuse, leaseMs, moment } = {}) {
    const known = tokens === undefined ? undefined : nativeTokens(tokens)
    const kept = { shared, subject, scope: words(scope), resource, reuse, leaseMs: checkLimit(leaseMs) }
    const at = momentOf(moment)
    return new Keeper(lifted(() => this.#native.keep(at, grantType, known, kept)), moment)
  }

  #source(grantType, tokens, { store, onTokens, origins, subject, scope, resource, reuse, leaseMs }) {
    const { loopback } = servers.get(this.#server)
    const shared = checkStore(store) !== undefined
    return new TokenSource(this.keeper(tokens, { grantType, shared, subject, scope, resource, reuse, leaseMs }), {
      transport: this.#transport,
      store,
      onTokens,
      origins: origins ? [...origins].map(String) : this.#server.apiOrigins,
      loopback,
    })
  }

  /** Starts a login: the URL to open, and the flow to keep until the callback. */
  authorize({ redirectUri, scope, responseMode, extra = {}, moment }) {
    const pairs = Object.entries(extra).map(([name, value]) => [name, String(value)])
    const at = momentOf(moment)
    const started = lifted(() => this.#native.authorize(String(redirectUri), words(scope), responseMode, pairs, at))
    return { url: new URL(started.url), flow: new Flow(started.flow) }
  }

  /** Judges the callback and redeems its code. Every check runs; none can be left out. */
  async redeem(flow, callback, call) {
    return perform(this.exchange.redeem(flow, callback), this.#transport, call)
  }

  /** Spends the refresh token of these tokens. */
  async refresh(tokens, { scope, ...call } = {}) {
    return perform(this.exchange.refresh(tokens, { scope }), this.#transport, call)
  }

  /** The password grant, for servers that offer nothing else. */
  async password(grant, call) {
    return perform(this.exchange.password(grant), this.#transport, call)
  }

  /** Asks the server to forget a token. */
  async revoke(token, { hint, ...call } = {}) {
    return perform(this.exchange.revoke(token, { hint }), this.#transport, call)
  }

  /** Asks the server about a token. */
  async introspect(token, { hint, ...call } = {}) {
    return perform(this.exchange.introspect(token, { hint }), this.#transport, call)
  }

  [inspect.custom](depth, options) {
    return `Client ${inspect({ issuer: this.#server.issuer, clientId: this.#id }, options)}`
  }
}

/** The login of native apps (RFC 8252): a loopback listener, the person's browser, the tokens. */
async function login(client, { scope, extra, open = openBrowser, port = 0, path, timeoutMs = 300_000, signal } = {}) {
  signal?.throwIfAborted()
  checkLimit(timeoutMs)
  const listener = await lifting(() => native.listen(port, path))
  try {
    const { url, flow } = client.authorize({ redirectUri: listener.redirectUri, scope, extra })
    await wait(Promise.resolve(open(url)), { signal, timeoutMs })
    const arrival = lifting(() => listener.wait(flowText(flow), timeoutMs))
    const callback = await wait(arrival, { signal }, () => listener.close())
    return await client.redeem(flow, callback, { signal })
  } finally {
    listener.close()
  }
}

function openBrowser(url) {
  lifted(() => native.openBrowser(url.href))
}

async function lifting(call) {
  try {
    return await call()
  } catch (error) {
    throw lift(error)
  }
}

module.exports = { Server, Client, provider, providers, discover, discovery, login, openBrowser }
