'use strict'

// The client: its methods, and its exchanges for your own driver.

const { inspect, isOnePackage } = require('#host')
const { ClientAuth, checkText, variablesOf } = require('./client-auth.cjs')
const { DpopKey } = require('./dpop.cjs')
const native = require('#native')
const { DeniedError, OAuthError, lift, lifted } = require('./errors.cjs')
const { Exchange, checkLimit, momentOf, perform: run, started, wait } = require('./exchange.cjs')
const { checkStore } = require('./renewal.cjs')
const { Keeper } = require('./keeper.cjs')
const { LogoutForm, endSessionOf } = require('./logout.cjs')
const { lineOf } = require('./network.cjs')
const { agree, asking, authorization, begin, exchangeOf, inOrder, perform, tokensOf } = require('./operation.cjs')
const { ExchangeOperations, FINGERPRINT, Operations, operations } = require('./ops.cjs')
const { optionsOf, textsOf } = require('./options.cjs')
const { Server, discover, isLoopback, nativeServer } = require('./server.cjs')
const { pathOf, textOrUrl } = require('./paths.cjs')
const { SubjectTokenSource } = require('./subject-token-source.cjs')
const { GrantSource } = require('./source.cjs')
const { nativeFlow, nativeTokens } = require('./tokens.cjs')

if (!isOnePackage) agree(FINGERPRINT)

/** The method of a client that makes what verifies tokens for an API, unless a function is to be asked first. */
const verifier = Symbol('verifier')

/** The conversations of a client, for your own driver. */
class Exchanges extends ExchangeOperations {
  #client
  #assertion

  constructor(client, assertion) {
    super()
    this.#client = client
    this.#assertion = assertion
  }

  redeem(flow, callback, options) {
    const { resource, context, user, moment } = optionsOf('exchange.redeem', options)
    const known = nativeFlow(flow)
    const wanted = textsOf('resource', resource)
    const exchange = lifted(() => this.#client.redeem(known, textOrUrl(callback, 'callback'), wanted, context, user))
    return new Exchange(exchange, tokensOf, moment, this.#assertion)
  }

  [begin](operation, args, options) {
    return exchangeOf(this.#client, operation, args, options, this.#assertion)
  }
}

/**
 * Operations that may finish without any I/O, so they start synchronously. All others sign and send, which must not block the event loop.
 */
const VERIFYING = [operations.verifyAccessToken, operations.verifyIdToken, operations.verifyLogoutToken]

/** Performs an operation: its value, or a promise of it. If a function supplies the workload token, it is called first. */
function performed({ known, transport, assertion }, operation, args, call) {
  if (assertion !== undefined || !VERIFYING.includes(operation)) {
    return run(exchangeOf(known, operation, args, undefined, assertion), transport, call)
  }
  const given = inOrder(operation, args)
  return started(() => known.start(operation.number, given), operation.finish, transport, call)
}

/** Verifies the access tokens of an API: its requirements are read once. */
function verifying({ known, transport, assertion }, args) {
  const { verifyAccessToken } = operations
  const verifier = lifted(() => new native.NativeVerifier(known, inOrder(verifyAccessToken, { ...args, token: '' })))
  if (assertion !== undefined) return undefined
  return (token, call) => started(() => verifier.start(token), verifyAccessToken.finish, transport, call)
}

/** A client that asks about the access tokens it is shown. */
class Introspecting extends Operations {
  #own

  constructor(own) {
    super()
    this.#own = own
    this.exchange = new Exchanges(own.known, own.assertion)
  }

  [perform](operation, args, call) {
    return performed(this.#own, operation, args, call)
  }

  [verifier](args) {
    return verifying(this.#own, args)
  }
}

/** A source of this client's, with what only this package may say. */
let sourceOf
/** What the addon knows a client by. */
let nativeClient
/** This client, as one that asks about the access tokens it is shown. */
let introspectingOf

/** What else a client is registered with. */
const REGISTERED = [
  'authorizationSignedResponseAlg', 'authorizationEncryptedResponseAlg', 'authorizationEncryptedResponseEnc',
  'accessTokenEncryptionAlg', 'accessTokenEncryptionEnc',
  'requestObjectSigningAlg', 'requestObjectSigningKey', 'requestObjectEncryptionAlg', 'requestObjectEncryptionEnc',
  'tlsClientCertificateBoundAccessTokens', 'profile',
]

function registered(options) {
  return Object.fromEntries(REGISTERED.map((name) => [name, options[name]]))
}

/** This client, as one server knows it. */
class Client extends Operations {
  #native
  #server
  #transport
  #assertion
  #id

  constructor(server, given) {
    super()
    const {
      clientId, registered: stored, clientSecret, clientAuth, redirectUris, headers = {}, idTokenSignedResponseAlg, trustedAudiences,
      idTokenEncryptedResponseAlg, idTokenEncryptedResponseEnc, userinfoSignedResponseAlg,
      userinfoEncryptedResponseAlg, userinfoEncryptedResponseEnc, decryptionKeys, timeoutMs, network, fetch, send,
      ...registration
    } = optionsOf('Client', given)
    const known = nativeServer(server)
    if (clientId === undefined && stored === undefined && given !== undefined && 'clientId' in given) {
      throw new TypeError('clientId must be a text')
    }
    // With no method named, an empty secret comes from an unset variable. With one it is allowed (RFC 6749 appendix A.2).
    if (clientSecret === '' && clientAuth === undefined) {
      throw new TypeError("clientSecret is empty: a client without one has clientAuth: 'none'")
    }
    const line = lineOf(network, fetch, send)
    const { read, settings, used, ...auth } = ClientAuth.of(clientAuth)
    const options = {
      clientId, registered: stored, clientSecret, ...auth, redirectUris, headers, idTokenSignedResponseAlg, trustedAudiences,
      idTokenEncryptedResponseAlg, idTokenEncryptedResponseEnc, userinfoSignedResponseAlg,
      userinfoEncryptedResponseAlg, userinfoEncryptedResponseEnc, decryptionKeys, ...registered(registration),
      certificateThumbprint: line.network?.certificateThumbprint ?? undefined,
    }
    const made = lifted(() => new native.NativeClient(known, options, read?.native, settings, used))
    this.#native = registration.dpopKey === undefined ? made : made.withDpopKey(DpopKey.native(registration.dpopKey))
    this.#server = server
    this.#transport = { ...line, requestTimeoutMs: checkLimit(timeoutMs) }
    this.#id = clientId ?? made.clientId
    this.#assertion = read?.of(server.issuer)
    this.exchange = new Exchanges(this.#native, this.#assertion)
    Object.defineProperty(this, 'exchange', { enumerable: false, writable: false })
  }

  /** A client from environment variables. */
  static async fromEnv(given) {
    const { env, ...options } = optionsOf('Client.fromEnv', given)
    return configured(this, lifted(() => native.NativeSettings.fromEnv(variablesOf(env))), options)
  }

  /** A client from a client file: Google's, Microsoft Entra's, or a plain one. */
  static async fromFile(path, given) {
    const { env, ...options } = optionsOf('Client.fromFile', given)
    return configured(this, lifted(() => native.NativeSettings.fromFile(pathOf(path), variablesOf(env))), options)
  }

  /** A client from the text of a client file. */
  static async fromJson(text, given) {
    const { env, ...options } = optionsOf('Client.fromJson', given)
    return configured(this, lifted(() => native.NativeSettings.fromJson(checkText(text, 'text'), variablesOf(env))), options)
  }

  get server() { return this.#server }
  get clientId() { return this.#id }

  /** A token for the client itself, kept fresh. */
  clientCredentials(options) {
    return this.#source('client_credentials', undefined, optionsOf('clientCredentials', options))
  }

  /** Tokens of a person, kept fresh: from a login, from the store, or with a sign-in elsewhere. */
  source(tokens, options) {
    return this.#source('refresh_token', tokens, optionsOf('source', options))
  }

  /** One grant, kept fresh by your own driver. */
  keeper(tokens, given) {
    const options = optionsOf('keeper', given)
    const { grantType = 'refresh_token', shared = true, longestRequestMs, moment } = options
    return this.#keep(tokens, grantType, { shared, longestRequestMs, moment }, options)
  }

  /** The native client and what is read for its exchanges, with the sign-in elsewhere if one is given. */
  #signedIn(tokens, { identityProvider, signIn, subjectTokenType }) {
    const given = [identityProvider, signIn].filter((one) => one !== undefined)
    if (given.length === 0 && subjectTokenType === undefined) return [this.#native, this.#assertion]
    if (given.length !== 2) throw new TypeError('identityProvider and signIn stand together')
    if (!(identityProvider instanceof Client)) throw new TypeError('identityProvider must be a Client')
    if (tokens !== undefined) throw new TypeError('tokens and a signIn elsewhere exclude each other')
    const read = new SubjectTokenSource(signIn, subjectTokenType)
    const readers = [this.#assertion, identityProvider.#assertion, read].filter((reader) => reader !== undefined)
    return [this.#native.withIdentity(identityProvider.#native, read.native), readers, read]
  }

  #keep(tokens, grantType, { shared, longestRequestMs, moment }, options, [client, readers] = this.#signedIn(tokens, options)) {
    const { subject, reuse, leaseMs, keepAliveMs, noticeMs } = options
    const known = tokens === undefined ? undefined : nativeTokens(tokens)
    const kept = {
      shared,
      subject,
      reuse,
      leaseMs: checkLimit(leaseMs),
      keepAliveMs: checkLimit(keepAliveMs, 'keepAliveMs'),
      noticeMs: checkLimit(noticeMs, 'noticeMs'),
      longestRequestMs: checkLimit(longestRequestMs, 'longestRequestMs'),
    }
    const at = momentOf(moment)
    return new Keeper(lifted(() => client.keep(at, grantType, known, asking(options), kept)), moment, readers)
  }

  static {
    nativeClient = (client) => client.#native
    sourceOf = (client, grantType, options) => client.#source(grantType, undefined, options)
    introspectingOf = (client, how) => new Introspecting({ ...client.#own, known: lifted(() => client.#native.introspecting(how)) })
  }

  #source(grantType, tokens, options) {
    const { store, onTokens, onNotice, turn, origins, sessions } = options
    const shared = checkStore(store) !== undefined
    const { requestTimeoutMs, network } = this.#transport
    // A request ends with its time, so nobody need wait longer for one that was lost.
    const longestRequestMs = requestTimeoutMs ?? network?.timeoutMs
    const signedIn = this.#signedIn(tokens, options)
    return new GrantSource(this.#keep(tokens, grantType, { shared, longestRequestMs }, options, signedIn), {
      signIn: signedIn[2],
      transport: this.#transport,
      store,
      onTokens,
      onNotice,
      turn,
      origins,
      sessions,
      server: nativeServer(this.#server),
      client: this.#native,
    })
  }

  /** Begins an authorization for which nothing has to be sent. */
  authorize({ moment, ...args } = {}) {
    const at = momentOf(moment)
    const given = inOrder(operations.beginAuthorization, args)
    return authorization(lifted(() => this.#native.authorize(given, at)))
  }

  /** Signs a person out at the server: the URL to open in the browser. */
  endSessionUrl(options) {
    return new URL(lifted(() => this.#native.endSessionUrl(endSessionOf('endSessionUrl', options))))
  }

  /** The same as a form, which keeps the ID token out of the URL. */
  endSessionForm(options) { return new LogoutForm(this.#native, options) }

  /** The server's public keys that are known, to store. */
  exportKeys() { return this.#native.exportKeys() ?? undefined }

  /** Knows the keys that were exported, unless newer ones are known. */
  importKeys(text) { lifted(() => this.#native.importKeys(checkText(text, 'text'))) }

  /** Judges the callback and redeems its code. Every check runs; none can be left out. */
  async redeem(flow, callback, options) {
    const { resource, context, user, ...call } = optionsOf('redeem', options)
    return run(this.exchange.redeem(flow, callback, { resource, context, user }), this.#transport, call)
  }

  [perform](operation, args, call) {
    return performed(this.#own, operation, args, call)
  }

  [verifier](args) {
    return verifying(this.#own, args)
  }

  get #own() {
    return { known: this.#native, transport: this.#transport, assertion: this.#assertion }
  }

  [inspect.custom](depth, options) {
    return `Client ${inspect({ issuer: this.#server.issuer, clientId: this.#id }, options)}`
  }
}

/** The client that settings make, whose server may have to be asked for its metadata first. */
async function configured(Made, settings, { transport, signal, ...options }) {
  const { known, issuer } = lifted(() => settings.server(isLoopback(transport)))
  const { network, fetch, send, timeoutMs } = options
  const server = known ? new Server(known) : await discover(issuer, { transport, network, fetch, send, timeoutMs, signal })
  const { clientId, redirectUris } = settings
  const clientAuth = new ClientAuth({ method: undefined }, undefined, settings)
  return new Made(server, { redirectUris: redirectUris ?? undefined, ...options, clientId, clientAuth })
}

/** The login of native apps (RFC 8252): a loopback listener, the person's browser, the tokens; or a code elsewhere. */
async function login(client, options = {}) {
  if (!(client instanceof Client)) throw new TypeError('client must be a Client')
  const { device, show: _, purpose: __, open, paste, port = 0, path, redirectUri, timeoutMs = 300_000, signal, ...ask } = options
  signal?.throwIfAborted()
  const { scope, resource, audience, tokenExtra, ...more } = ask
  const given = Object.keys(more).filter((name) => more[name] !== undefined)
  const turn = lifted(() => native.codeTurn(nativeClient(client), device, open !== undefined, given))
  if (turn === 'only') return deviceLogin(client, turn, options)
  checkLimit(timeoutMs)
  if (redirectUri !== undefined && (port !== 0 || path !== undefined)) {
    throw new TypeError('a redirectUri has its port and its path: give none')
  }
  const listener = await lifting(() => native.listen(port, path, redirectUri))
  const over = new AbortController()
  try {
    if (turn === 'first') {
      const tokens = await deviceLogin(client, turn, options)
      if (tokens !== undefined) return tokens
    }
    const { url, flow } = await client.beginAuthorization({ ...ask, redirectUri: listener.redirectUri }, { signal })
    const known = nativeFlow(flow)
    // What opens the page may last until the page at the redirect URI is there, as navigations of Electron and Playwright do.
    let opening
    if (open !== undefined) opening = Promise.resolve(open(url))
    else if (turn === 'if_not_opened' && !opens(url)) {
      const tokens = await deviceLogin(client, turn, options)
      if (tokens !== undefined) return tokens
      tell(url)
    } else if (turn === 'if_not_opened') tell(url)
    else show(url)
    const arrival = lifting(() => listener.wait(known, timeoutMs))
    const never = new Promise(() => {})
    const question = () => (over.signal.aborted ? never : asked(listener, known, paste, over.signal))
    const pasted = paste && Promise.resolve(opening).then(question)
    const failed = opening && new Promise((_, fail) => opening.catch(fail))
    const first = Promise.race([arrival, pasted, failed].filter((one) => one !== undefined))
    const callback = await wait(first, { signal }, () => listener.close())
    return await client.redeem(flow, callback, { signal })
  } finally {
    over.abort()
    listener.close()
  }
}

/**
 * A login with a code that the person enters on another device (RFC 8628). `undefined` where the server gives none to this
 * client and a browser is left.
 */
async function deviceLogin(client, turn, { show: shown = prompt, purpose, scope, resource, audience, tokenExtra: extra, signal }) {
  const asked = { scope, resource, audience, extra }
  let code
  try {
    code = await client.deviceAuthorization({ ...asked, purpose }, { signal })
  } catch (error) {
    if (turn !== 'only' && error instanceof DeniedError) return undefined
    throw error
  }
  await shown(code)
  const { deviceCode, expiresAt, interval } = code
  return client.pollDeviceToken({ ...asked, deviceCode, expiresAt, interval }, { signal })
}

function prompt(code) {
  console.error(code.prompt)
  if (code.qrCode && globalThis.process?.stderr?.isTTY) console.error(`\n${code.qrCode}`)
}

/**
 * Tokens of the server of `client` for somebody who has signed in at the identity provider: the assertion for it, then
 * the tokens for that.
 */
async function identityAssertionGrant(identityProvider, tokens, client, options) {
  const { scope, resource, audience, extra, authorizationDetails, ...call } = optionsOf('identityAssertionGrant', options)
  if (!(identityProvider instanceof Client)) throw new TypeError('identityProvider must be a Client')
  if (!(client instanceof Client)) throw new TypeError('client must be a Client')
  nativeTokens(tokens)
  const asked = { scope, resource, audience, extra, authorizationDetails }
  const { assertion } = await identityProvider.requestIdentityAssertion(
    { ...asked, subjectToken: tokens.idToken ?? '', issuer: client.server.issuer }, call)
  return client.redeemIdentityAssertion({ assertion }, call)
}

/**
 * Prompts for the URL that a browser on another machine ended at, until it belongs to this login. Never fulfils: the listener's promise
 * does.
 */
async function asked(listener, flow, paste, signal) {
  while (!signal.aborted) {
    let text
    try {
      text = await paste(signal)
    } catch (error) {
      // The question was withdrawn, because the browser came first.
      if (!signal.aborted) throw error
      return new Promise(() => {})
    }
    if (text === undefined || lifted(() => listener.paste(flow, String(text)))) break
  }
  return new Promise(() => {})
}

function show(url) {
  tell(url)
  opens(url)
}

function tell(url) {
  console.error(`The browser shows the login; if it does not, open this URL:\n${url.href}`)
}

/** Opens the browser; whether there is one. Where there is none, the URL is there to be opened elsewhere. */
function opens(url) {
  try {
    openBrowser(url)
    return true
  } catch (error) {
    if (!(error instanceof OAuthError)) throw error
    return false
  }
}

function openBrowser(url) {
  if (!(url instanceof URL)) throw new TypeError('url must be a URL')
  lifted(() => native.openBrowser(url.href))
}

async function lifting(call) {
  try {
    return await call()
  } catch (error) {
    throw lift(error)
  }
}

module.exports = { Client, identityAssertionGrant, introspectingOf, lifting, login, nativeClient, openBrowser, prompt, show, sourceOf, verifier }
