'use strict'

const { inspect } = require('node:util')
const native = require('./native.cjs')
const { lift, lifted } = require('./errors.cjs')
const { Exchange, checkLimit, momentOf, perform, wait } = require('./exchange.cjs')
const { checkStore } = require('./keep.cjs')
const { Keeper } = require('./keeper.cjs')
const { nativeServer } = require('./server.cjs')
const { GrantSource } = require('./source.cjs')
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
    const known = nativeServer(server)
    if (fetch !== undefined && typeof fetch !== 'function') throw new TypeError('fetch must be a function')
    const options = { clientId, clientSecret, clientAuth, redirectUris, headers }
    this.#native = lifted(() => new native.NativeClient(known, options))
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
    const shared = checkStore(store) !== undefined
    return new GrantSource(this.keeper(tokens, { grantType, shared, subject, scope, resource, reuse, leaseMs }), {
      transport: this.#transport,
      store,
      onTokens,
      origins,
      server: nativeServer(this.#server),
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

module.exports = { Client, login, openBrowser }
