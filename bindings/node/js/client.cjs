'use strict'

// `Client`: an OAuth client of one authorization server, with its exchanges for your own driver.

const { inspect, isOnePackage } = require('#host')
const { ClientAuth, checkText, toVariables } = require('./client-auth.cjs')
const { DpopKey } = require('./dpop.cjs')
const { revokeTokens } = require('./end-grant.cjs')
const native = require('#native')
const { DeniedError, OAuthError, errorFromNative, callNative } = require('./errors.cjs')
const { Exchange, checkLimit, readMoment, runOver: run, startAndRun, waitFor } = require('./exchange.cjs')
const { kindError } = require('./kinds.cjs')
const { checkStore } = require('./renewal.cjs')
const { Keeper } = require('./keeper.cjs')
const { LogoutForm, endSessionParameters } = require('./logout.cjs')
const { selectTransport } = require('./network.cjs')
const { checkFingerprint, tokenRequestArguments, authorization, begin, beginExchange, perform, toPositional, toTokens } = require('./operation-support.cjs')
const { ExchangeOperations, FINGERPRINT, Operations, operations } = require('./ops.cjs')
const { checkOptions, refuseUnknown, toStrings } = require('./options.cjs')
const { Server, discover, isLoopback, nativeServer } = require('./server.cjs')
const { toPath, textOrUrl } = require('./paths.cjs')
const { SubjectTokenSource } = require('./subject-token-source.cjs')
const { GrantSource } = require('./source.cjs')
const { Tokens, nativeFlow, nativeTokens } = require('./tokens.cjs')

if (!isOnePackage) checkFingerprint(FINGERPRINT)

/** The method of a client that creates a verifier of access tokens; `undefined` if a function has to supply an assertion first. */
const createVerifier = Symbol('verifier')

/** The arguments of a source: tokens and options, or either. The class distinguishes them. */
const tokensAndOptions = ([first, ...rest]) => {
  const isOptions = rest.length === 0 && !(first instanceof Tokens) && Object.keys(Object(first)).length > 0
  return isOptions ? [undefined, first] : [first, ...rest]
}

/** The exchanges of a client, for your own driver. */
class Exchanges extends ExchangeOperations {
  #client
  #assertion

  constructor(client, assertion) {
    super()
    this.#client = client
    this.#assertion = assertion
  }

  redeem(flow, callback, options) {
    const { resource, context, user, moment } = checkOptions('exchange.redeem', options)
    const flowHandle = nativeFlow(flow)
    const resources = toStrings('resource', resource)
    const exchange = callNative(() => this.#client.redeem(flowHandle, textOrUrl(callback, 'callback'), resources, context, user))
    return new Exchange(exchange, toTokens, moment, this.#assertion)
  }

  [begin](operation, args, options) {
    return beginExchange(this.#client, operation, args, options, this.#assertion)
  }
}

/**
 * Operations that may finish without any I/O, so they start synchronously. All others sign and send, which must not block the event loop.
 */
const VERIFYING = [
  operations.verifyAccessToken, operations.verifyApiRequest, operations.verifyIdToken, operations.verifyLogoutToken,
]

/** Performs an operation: returns its result, or a promise of it. A function that supplies the workload token is called first. */
function performOperation({ known: clientHandle, transport, assertion }, operation, args, call) {
  if (assertion !== undefined || !VERIFYING.includes(operation)) {
    return run(beginExchange(clientHandle, operation, args, undefined, assertion), transport, call)
  }
  const positional = toPositional(operation, args)
  return startAndRun(() => clientHandle.start(operation.number, positional), operation.finish, transport, call)
}

/** Creates a verifier of access tokens whose requirements are parsed once. */
function verifierFor({ known: clientHandle, transport, assertion }, args) {
  const { verifyAccessToken } = operations
  const verifier = callNative(() => new native.NativeVerifier(clientHandle, toPositional(verifyAccessToken, { ...args, token: '' })))
  if (assertion !== undefined) return undefined
  return (token, call) => startAndRun(() => verifier.start(token), verifyAccessToken.finish, transport, call)
}

/** A client that verifies access tokens by introspection. */
class Introspecting extends Operations {
  #internals

  constructor(internals) {
    super()
    this.#internals = internals
    this.exchange = new Exchanges(internals.known, internals.assertion)
  }

  [perform](operation, args, call) {
    return performOperation(this.#internals, operation, args, call)
  }

  [createVerifier](args) {
    return verifierFor(this.#internals, args)
  }
}

/** Creates a source of a client, with options that are internal to this package. */
let createSource
/** The native half of a client. */
let nativeClient
/** Returns a client that verifies access tokens by introspection. */
let createIntrospecting

/** Options that repeat properties with which the client is registered. */
const REGISTERED = [
  'authorizationSignedResponseAlg', 'authorizationEncryptedResponseAlg', 'authorizationEncryptedResponseEnc',
  'accessTokenEncryptionAlg', 'accessTokenEncryptionEnc',
  'requestObjectSigningAlg', 'requestObjectSigningKey', 'requestObjectEncryptionAlg', 'requestObjectEncryptionEnc',
  'tlsClientCertificateBoundAccessTokens', 'profile',
]

function registeredOptions(options) {
  return Object.fromEntries(REGISTERED.map((name) => [name, options[name]]))
}

/** A client of one authorization server. */
class Client extends Operations {
  #native
  #server
  #transport
  #assertion
  #id

  constructor(server, input) {
    super()
    const {
      clientId, registered: stored, clientSecret, clientAuth, redirectUris, headers = {}, idTokenSignedResponseAlg, trustedAudiences,
      idTokenEncryptedResponseAlg, idTokenEncryptedResponseEnc, userinfoSignedResponseAlg,
      userinfoEncryptedResponseAlg, userinfoEncryptedResponseEnc, decryptionKeys, timeoutMs, network, fetch, send,
      ...registration
    } = checkOptions('Client', input)
    const serverHandle = nativeServer(server)
    if (clientId === undefined && stored === undefined && input !== undefined && 'clientId' in input) {
      throw new TypeError('clientId must be a string')
    }
    // Without `clientAuth`, an empty secret usually comes from an unset variable. With one it is allowed (RFC 6749 appendix A.2).
    if (clientSecret === '' && clientAuth === undefined) {
      throw new TypeError("clientSecret must not be empty: for a public client, set clientAuth: 'none'")
    }
    const transport = selectTransport(network, fetch, send)
    const { read, settings, used, ...auth } = ClientAuth.of(clientAuth)
    const options = {
      clientId, registered: stored, clientSecret, ...auth, redirectUris, headers, idTokenSignedResponseAlg, trustedAudiences,
      idTokenEncryptedResponseAlg, idTokenEncryptedResponseEnc, userinfoSignedResponseAlg,
      userinfoEncryptedResponseAlg, userinfoEncryptedResponseEnc, decryptionKeys, ...registeredOptions(registration),
      certificateThumbprint: transport.network?.certificateThumbprint ?? undefined,
    }
    const created = callNative(() => new native.NativeClient(serverHandle, options, read?.native, settings, used))
    this.#native = registration.dpopKey === undefined ? created : created.withDpopKey(DpopKey.native(registration.dpopKey))
    this.#server = server
    this.#transport = { ...transport, requestTimeoutMs: checkLimit(timeoutMs) }
    this.#id = clientId ?? created.clientId
    this.#assertion = read?.of(server.issuer)
    this.exchange = new Exchanges(this.#native, this.#assertion)
    Object.defineProperty(this, 'exchange', { enumerable: false, writable: false })
  }

  /** A client from environment variables. */
  static async fromEnv(input) {
    const { env, ...options } = checkOptions('Client.fromEnv', input)
    return clientFromSettings(this, callNative(() => native.NativeSettings.fromEnv(toVariables(env))), options)
  }

  /** A client from a client file: Google's, Microsoft Entra's, or a plain one. */
  static async fromFile(path, input) {
    const { env, ...options } = checkOptions('Client.fromFile', input)
    return clientFromSettings(this, callNative(() => native.NativeSettings.fromFile(toPath(path), toVariables(env))), options)
  }

  /** A client from the text of a client file. */
  static async fromJson(text, input) {
    const { env, ...options } = checkOptions('Client.fromJson', input)
    return clientFromSettings(this, callNative(() => native.NativeSettings.fromJson(checkText(text, 'text'), toVariables(env))), options)
  }

  get server() { return this.#server }
  get clientId() { return this.#id }

  /** A source of tokens for the client itself. */
  clientCredentials(options) {
    return this.#source('client_credentials', undefined, checkOptions('clientCredentials', options))
  }

  /** The grant of a refresh token that another library has obtained for this client. */
  tokensFromRefreshToken(refreshToken, options) {
    const requestArguments = tokenRequestArguments(checkOptions('tokensFromRefreshToken', options))
    return new Tokens(callNative(() => this.#native.tokensFromRefreshToken(checkText(refreshToken, 'refreshToken'), requestArguments)))
  }

  /** A source of a user's tokens: from a login, from the store, or by identity assertion from another identity provider. */
  source(...args) {
    const [tokens, options] = tokensAndOptions(args)
    return this.#source('refresh_token', tokens, checkOptions('source', options))
  }

  /** The keeper of one grant, for your own driver. */
  keeper(...args) {
    const [tokens, named] = tokensAndOptions(args)
    const options = checkOptions('keeper', named)
    const { grantType = 'refresh_token', shared = true, longestRequestMs, moment } = options
    return this.#keep(tokens, grantType, { shared, longestRequestMs, moment }, options)
  }

  /** The native client, the readers that its exchanges need, and the source of subject tokens if `signIn` is given. */
  #identity(tokens, { identityProvider, signIn, subjectTokenType }) {
    const present = [identityProvider, signIn].filter((value) => value !== undefined)
    if (present.length === 0 && subjectTokenType === undefined) return [this.#native, this.#assertion]
    if (present.length !== 2) throw new TypeError('identityProvider and signIn must be given together')
    if (!(identityProvider instanceof Client)) throw kindError('identityProvider must be a Client', identityProvider)
    if (tokens !== undefined) throw new TypeError('tokens and signIn cannot be given together')
    const read = new SubjectTokenSource(signIn, subjectTokenType)
    const readers = [this.#assertion, identityProvider.#assertion, read].filter((reader) => reader !== undefined)
    return [this.#native.withIdentity(identityProvider.#native, read.native), readers, read]
  }

  #keep(tokens, grantType, { shared, longestRequestMs, moment }, options, [client, readers] = this.#identity(tokens, options)) {
    const { subject, reuse, leaseMs, keepAliveMs, noticeMs, stepUp } = options
    const tokensHandle = tokens === undefined ? undefined : nativeTokens(tokens)
    const keeperSettings = {
      shared,
      subject,
      stepUp,
      reuse,
      leaseMs: checkLimit(leaseMs),
      keepAliveMs: checkLimit(keepAliveMs, 'keepAliveMs'),
      noticeMs: checkLimit(noticeMs, 'noticeMs'),
      longestRequestMs: checkLimit(longestRequestMs, 'longestRequestMs'),
    }
    const at = readMoment(moment)
    return new Keeper(callNative(() => client.keep(at, grantType, tokensHandle, tokenRequestArguments(options), keeperSettings)), moment, readers)
  }

  static {
    nativeClient = (client) => client.#native
    createSource = (client, grantType, options) => client.#source(grantType, undefined, options)
    createIntrospecting = (client, introspectionArguments) => new Introspecting({ ...client.#internals, known: callNative(() => client.#native.introspecting(introspectionArguments)) })
  }

  #source(grantType, tokens, options) {
    const { store, onTokens, onNotice, turn, origins, grants, logOut } = options
    const shared = checkStore(store) !== undefined
    const { requestTimeoutMs, network } = this.#transport
    // Requests end with their timeout, so no worker waits longer for the request of a worker that crashed.
    const longestRequestMs = requestTimeoutMs ?? network?.timeoutMs
    const signedIn = this.#identity(tokens, options)
    return new GrantSource(this.#keep(tokens, grantType, { shared, longestRequestMs }, options, signedIn), {
      signIn: signedIn[2],
      transport: this.#transport,
      store,
      onTokens,
      onNotice,
      turn,
      origins,
      grants,
      logOut,
      revoke: (revoked) => revokeTokens(this, revoked),
      server: nativeServer(this.#server),
      client: this.#native,
    })
  }

  /** Begins an authorization that needs no request to the server. */
  authorize({ moment, ...args } = {}) {
    const at = readMoment(moment)
    const positional = toPositional(operations.beginAuthorization, args)
    return authorization(callNative(() => this.#native.authorize(positional, at)))
  }

  /** The URL to open in the browser to log the user out at the server. */
  endSessionUrl(options) {
    return new URL(callNative(() => this.#native.endSessionUrl(endSessionParameters('endSessionUrl', options))))
  }

  /** The logout request as a form, which keeps the ID token out of the URL. */
  endSessionForm(options) { return new LogoutForm(this.#native, options) }

  /** Exports the fetched public keys of the server, to be stored. */
  exportKeys() { return this.#native.exportKeys() ?? undefined }

  /** Imports exported keys, unless the client has newer ones. */
  importKeys(text) { callNative(() => this.#native.importKeys(checkText(text, 'text'))) }

  /** Checks the callback and redeems its code. No check can be skipped. */
  async redeem(flow, callback, options) {
    const { resource, context, user, ...call } = checkOptions('redeem', options)
    return await run(this.exchange.redeem(flow, callback, { resource, context, user }), this.#transport, call)
  }

  [perform](operation, args, call) {
    return performOperation(this.#internals, operation, args, call)
  }

  [createVerifier](args) {
    return verifierFor(this.#internals, args)
  }

  get #internals() {
    return { known: this.#native, transport: this.#transport, assertion: this.#assertion }
  }

  [inspect.custom](depth, options) {
    return `Client ${inspect({ issuer: this.#server.issuer, clientId: this.#id }, options)}`
  }
}

/** Creates a client from settings; the server's metadata is fetched if necessary. */
async function clientFromSettings(ClientClass, settings, { transport, signal, ...options }) {
  const { server: serverHandle, issuer } = callNative(() => settings.server(isLoopback(transport)))
  const { network, fetch, send, timeoutMs } = options
  const server = serverHandle ? new Server(serverHandle) : await discover(issuer, { transport, network, fetch, send, timeoutMs, signal })
  const { clientId, redirectUris } = settings
  const clientAuth = new ClientAuth({ method: undefined }, undefined, settings)
  return new ClientClass(server, { redirectUris: redirectUris ?? undefined, ...options, clientId, clientAuth })
}

/** The options of `login` that are not parameters of the authorization request. */
const OWN_LOGIN_OPTIONS = ['open', 'paste', 'port', 'path', 'device', 'show', 'purpose', 'timeoutMs', 'signal']

/** Logs a user in from a native app (RFC 8252): with the browser and a loopback listener, or with a code on another device. */
async function login(client, options = {}) {
  if (!(client instanceof Client)) throw kindError('client must be a Client', client)
  refuseUnknown([...OWN_LOGIN_OPTIONS, ...operations.beginAuthorization.names], options)
  const { device, show: _, purpose: __, open, paste, port = 0, path, redirectUri, timeoutMs = 300_000, signal, ...request } = options
  signal?.throwIfAborted()
  const { scope, resource, audience, tokenExtra, ...browserOnly } = request
  const browserOptions = Object.keys(browserOnly).filter((name) => browserOnly[name] !== undefined)
  const turn = callNative(() => native.codeTurn(nativeClient(client), device, open !== undefined, browserOptions))
  if (turn === 'only') return await deviceLogin(client, turn, options)
  checkLimit(timeoutMs)
  if (redirectUri !== undefined && (port !== 0 || path !== undefined)) {
    throw new TypeError('port and path cannot be given with redirectUri, which contains them')
  }
  const listener = await withNativeErrors(() => native.listen(port, path, redirectUri))
  const finished = new AbortController()
  try {
    if (turn === 'first') {
      const tokens = await deviceLogin(client, turn, options)
      if (tokens !== undefined) return tokens
    }
    const { url, flow } = await client.beginAuthorization({ ...request, redirectUri: listener.redirectUri }, { signal })
    const flowHandle = nativeFlow(flow)
    // The `open` function may return only after the redirect, as navigations of Electron and Playwright do.
    let opening
    if (open !== undefined) opening = Promise.resolve(open(url))
    else if (turn === 'if_not_opened' && !tryOpenBrowser(url)) {
      const tokens = await deviceLogin(client, turn, options)
      if (tokens !== undefined) return tokens
      printUrl(url)
    } else if (turn === 'if_not_opened') printUrl(url)
    else showAndOpen(url)
    const arrival = withNativeErrors(() => listener.wait(flowHandle, timeoutMs))
    const pending = new Promise(() => {})
    const prompt = () => (finished.signal.aborted ? pending : promptForCallback(listener, flowHandle, paste, finished.signal))
    const pasted = paste && Promise.resolve(opening).then(prompt)
    const failed = opening && new Promise((_, fail) => opening.catch(fail))
    const first = Promise.race([arrival, pasted, failed].filter((value) => value !== undefined))
    const callback = await waitFor(first, { signal }, () => listener.close())
    return await client.redeem(flow, callback, { signal })
  } finally {
    finished.abort()
    listener.close()
  }
}

/**
 * Logs a user in with a code entered on another device (RFC 8628). Returns `undefined` if the server refuses this client
 * a code and a browser can be used instead.
 */
async function deviceLogin(client, turn, { show = showCode, purpose, scope, resource, audience, tokenExtra: extra, timeoutMs, signal }) {
  checkLimit(timeoutMs)
  const requested = { scope, resource, audience, extra }
  let code
  try {
    code = await client.deviceAuthorization({ ...requested, purpose }, { signal })
  } catch (error) {
    if (turn !== 'only' && error instanceof DeniedError) return undefined
    throw error
  }
  await show(code)
  const { deviceCode, expiresAt, interval } = code
  return await client.pollDeviceToken({ ...requested, deviceCode, expiresAt, interval }, { timeoutMs, signal })
}

function showCode(code) {
  console.error(code.prompt)
  if (code.qrCode && globalThis.process?.stderr?.isTTY) console.error(`\n${code.qrCode}`)
}

/**
 * Obtains tokens for a user who has signed in at the identity provider: requests an identity assertion there, and
 * redeems it at the server of `client`.
 */
async function identityAssertionGrant(identityProvider, tokens, client, options) {
  const { scope, resource, audience, extra, authorizationDetails, ...call } = checkOptions('identityAssertionGrant', options)
  if (!(identityProvider instanceof Client)) throw kindError('identityProvider must be a Client', identityProvider)
  if (!(client instanceof Client)) throw kindError('client must be a Client', client)
  nativeTokens(tokens)
  const requested = { scope, resource, audience, extra, authorizationDetails }
  const { assertion } = await identityProvider.requestIdentityAssertion(
    { ...requested, subjectToken: tokens.idToken ?? '', issuer: client.server.issuer }, call)
  return await client.redeemIdentityAssertion({ assertion }, call)
}

/**
 * Prompts for the callback URL that a browser on another machine reached, until one belongs to this login. The promise never
 * fulfils; the listener's does.
 */
async function promptForCallback(listener, flow, paste, signal) {
  while (!signal.aborted) {
    let text
    try {
      text = await paste(signal)
    } catch (error) {
      // The prompt was closed, because the browser reached the listener first.
      if (!signal.aborted) throw error
      return new Promise(() => {})
    }
    if (text === undefined || callNative(() => listener.paste(flow, String(text)))) break
  }
  return new Promise(() => {})
}

function showAndOpen(url) {
  printUrl(url)
  tryOpenBrowser(url)
}

function printUrl(url) {
  console.error(`The login opens in your browser; if it does not, open this URL:\n${url.href}`)
}

/** Opens the browser, and returns whether that worked. If not, the user opens the printed URL on another device. */
function tryOpenBrowser(url) {
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
  callNative(() => native.openBrowser(url.href))
}

async function withNativeErrors(call) {
  try {
    return await call()
  } catch (error) {
    throw errorFromNative(error)
  }
}

module.exports = { Client, identityAssertionGrant, createIntrospecting, withNativeErrors, login, nativeClient, openBrowser, showCode, showAndOpen, createSource, createVerifier }
