'use strict'

const { inspect } = require('node:util')
const native = require('./native.cjs')
const { OAuthError, lift, lifted } = require('./errors.cjs')
const { Exchange, checkLimit, momentOf, perform, wait } = require('./exchange.cjs')
const { checkStore } = require('./keep.cjs')
const { Keeper } = require('./keeper.cjs')
const { lineOf } = require('./network.cjs')
const { nativeServer } = require('./server.cjs')
const { GrantSource } = require('./source.cjs')
const { Tokens, Flow, nativeFlow, nativeTokens } = require('./tokens.cjs')

const tokensOf = (raw) => new Tokens(raw.tokens)
const stateOf = (raw) => JSON.parse(raw.introspection)
const nothing = () => undefined

/** Names with spaces between. */
function words(scope = []) {
  if (typeof scope === 'string') return scope
  if (typeof scope?.[Symbol.iterator] !== 'function') throw new TypeError('scope must be a text or a list of names')
  return [...scope].join(' ')
}

/** Values of one name. */
function values(name, given = []) {
  if (typeof given === 'string' || typeof given?.[Symbol.iterator] !== 'function') throw new TypeError(`${name} must be a list`)
  return [...given].map(String)
}

/** Names and texts, of which each may be several. */
function pairs(extra = {}) {
  return Object.entries(extra).flatMap(([name, value]) =>
    (Array.isArray(value) ? value : [value]).map((value) => [name, String(value)]))
}

/** What tokens are for. */
function asking({ scope, resource, audience, extra }) {
  return {
    scope: words(scope),
    resource: values('resource', resource),
    audience: values('audience', audience),
    extra: pairs(extra),
  }
}

/** The conversations of a client, for a driver of your own. */
class Exchanges {
  #client

  constructor(client) {
    this.#client = client
  }

  clientCredentials({ moment, ...ask } = {}) {
    return this.#of((client) => client.clientCredentials(asking(ask)), tokensOf, moment)
  }

  redeem(flow, callback, { moment } = {}) {
    return this.#of((client) => client.redeem(nativeFlow(flow), String(callback)), tokensOf, moment)
  }

  refresh(tokens, { moment, ...ask } = {}) {
    return this.#of((client) => client.refresh(nativeTokens(tokens), asking(ask)), tokensOf, moment)
  }

  password({ username, password, ...ask }, { moment } = {}) {
    return this.#of((client) => client.password(username, password, asking(ask)), tokensOf, moment)
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

/** A source of this client's, with what only this package may say. */
let sourceOf

/** This client, as one server knows it. */
class Client {
  #native
  #server
  #transport
  #id

  constructor(server, { clientId, clientSecret, clientAuth, redirectUris, headers = {}, timeoutMs, network, fetch } = {}) {
    const known = nativeServer(server)
    const line = lineOf(network, fetch)
    const options = { clientId, clientSecret, clientAuth, redirectUris, headers }
    this.#native = lifted(() => new native.NativeClient(known, options))
    this.#server = server
    this.#transport = { ...line, requestTimeoutMs: checkLimit(timeoutMs) }
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
  keeper(tokens, { grantType = 'refresh_token', shared = true, subject, reuse, leaseMs, longestRequestMs, moment, ...ask } = {}) {
    const known = tokens === undefined ? undefined : nativeTokens(tokens)
    const kept = {
      shared,
      subject,
      ask: asking(ask),
      reuse,
      leaseMs: checkLimit(leaseMs),
      longestRequestMs: checkLimit(longestRequestMs, 'longestRequestMs'),
    }
    const at = momentOf(moment)
    return new Keeper(lifted(() => this.#native.keep(at, grantType, known, kept)), moment)
  }

  static {
    sourceOf = (client, grantType, options) => client.#source(grantType, undefined, options)
  }

  #source(grantType, tokens, { store, onTokens, onNotice, turn, origins, sessions, ...keep }) {
    const shared = checkStore(store) !== undefined
    const { requestTimeoutMs, network } = this.#transport
    // A request ends with its time, so nobody need wait longer for one that was lost.
    const longestRequestMs = requestTimeoutMs ?? network?.timeoutMs
    return new GrantSource(this.keeper(tokens, { ...keep, grantType, shared, longestRequestMs, moment: undefined }), {
      transport: this.#transport,
      store,
      onTokens,
      onNotice,
      turn,
      origins,
      sessions,
      server: nativeServer(this.#server),
    })
  }

  /** Starts a login: the URL to open, and the flow to keep until the callback. */
  authorize({ redirectUri, responseMode, extra, tokenExtra, moment, ...ask }) {
    const at = momentOf(moment)
    const asked = asking({ ...ask, extra: tokenExtra })
    const started = lifted(() => this.#native.authorize(String(redirectUri), asked, responseMode, pairs(extra), at))
    return { url: new URL(started.url), flow: new Flow(started.flow) }
  }

  /** Judges the callback and redeems its code. Every check runs; none can be left out. */
  async redeem(flow, callback, call) {
    return perform(this.exchange.redeem(flow, callback), this.#transport, call)
  }

  /** Spends the refresh token of these tokens. */
  async refresh(tokens, { scope, resource, audience, extra, ...call } = {}) {
    return perform(this.exchange.refresh(tokens, { scope, resource, audience, extra }), this.#transport, call)
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
async function login(client, options = {}) {
  const { open = show, paste, port = 0, path, redirectUri, timeoutMs = 300_000, signal, ...ask } = options
  signal?.throwIfAborted()
  checkLimit(timeoutMs)
  if (redirectUri !== undefined && (port !== 0 || path !== undefined)) {
    throw new TypeError('a redirectUri has its port and its path: give none')
  }
  const listener = await lifting(() => native.listen(port, path, redirectUri))
  const over = new AbortController()
  try {
    const { url, flow } = client.authorize({ ...ask, redirectUri: listener.redirectUri })
    const known = nativeFlow(flow)
    await wait(Promise.resolve(open(url)), { signal, timeoutMs })
    const arrival = lifting(() => listener.wait(known, timeoutMs))
    const pasted = paste && asked(listener, known, paste, over.signal)
    const callback = await wait(Promise.race([arrival, ...(pasted ? [pasted] : [])]), { signal }, () => listener.close())
    return await client.redeem(flow, callback, { signal })
  } finally {
    over.abort()
    listener.close()
  }
}

/** Asks for the address where a browser ended elsewhere, until it is one of this login. Never fulfilled: the listener is. */
async function asked(listener, flow, paste, signal) {
  while (!signal.aborted) {
    let text
    try {
      text = await paste(signal)
    } catch (error) {
      // The question was taken back, for the browser came first.
      if (!signal.aborted) throw error
      return new Promise(() => {})
    }
    if (text === undefined || lifted(() => listener.paste(flow, String(text)))) break
  }
  return new Promise(() => {})
}

function show(url) {
  console.error(`The browser shows the login; if it does not, open this URL:\n${url.href}`)
  try {
    openBrowser(url)
  } catch (error) {
    // Where there is no browser, the URL is there to be opened elsewhere.
    if (!(error instanceof OAuthError)) throw error
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

module.exports = { Client, asking, login, openBrowser, sourceOf }
