'use strict'

// `ResourceConnection`: the tokens of an API of which only the URL is known, such as an MCP server.

const { inspect } = require('#host')
const native = require('#native')
const { createSingleSourceApi } = require('./api.cjs')
const { AuthProvider } = require('./auth-provider.cjs')
const { endOfCallback, waitForCallback } = require('./callback-context.cjs')
const { withNativeErrors, nativeClient, showCode, showAndOpen } = require('./client.cjs')
const { ClientAuth } = require('./client-auth.cjs')
const { DpopKey } = require('./dpop.cjs')
const { callNative, errorForCaller } = require('./errors.cjs')
const { checkLimit, waitFor } = require('./exchange.cjs')
const { userCallbacks } = require('./callbacks.cjs')
const { HOLD, acquireHold } = require('./hold.cjs')
const { selectTransport } = require('./network.cjs')
const { checkOptions, toStrings } = require('./options.cjs')
const { textOrUrl } = require('./paths.cjs')
const { isLoopback } = require('./server.cjs')
const { nativeStore } = require('./stores.cjs')
const { Tokens, nativeTokens } = require('./tokens.cjs')

/** How long to wait for the open function to fail, in milliseconds; it might return only after the login has ended. */
const OPENING_MS = 1000

/** Passes on a failure of the function that opens a page, without letting it delay the last page of the login. */
const openedOrTimedOut = (opening) => Promise.race([opening, new Promise((done) => setTimeout(done, OPENING_MS))])

/** Creates the callbacks that hold and release the grant of a sign-in; each hold has an id. */
function createHoldCallbacks(signIn) {
  const holds = new Map()
  return {
    hold: async (ms) => {
      const held = await acquireHold(signIn, ms)
      if (held === undefined) return undefined
      const { tokens, release } = held
      const id = crypto.randomUUID()
      holds.set(id, release)
      return { tokens, id }
    },
    release: async (id) => {
      const release = holds.get(id)
      holds.delete(id)
      await release?.()
    },
  }
}

/**
 * The tokens of an API of which only the URL is known, such as a server of the Model Context Protocol. No request is
 * sent before a token is needed; concurrent callers share one login.
 */
class ResourceConnection {
  #native
  #url
  #options
  #api
  #authProvider
  #failure

  constructor(url, settings) {
    const {
      clientName, clientMetadata, initialAccessToken, clientMetadataUrl, clientId, clientSecret, clientAuth, issuer, issuers,
      onSeveralServers, signers, grantType, store, subject, open, device = false, show: showPrompt = showCode, identityProvider, signIn, redirectUri, dpopKey,
      withoutResource = false, resource, tlsClientCertificateBoundAccessTokens, timeoutMs = 300_000, wwwAuthenticate, transport, network, ...options
    } = checkOptions('ResourceConnection', settings)
    for (const [name, callback] of Object.entries({ open: open ?? showAndOpen, show: showPrompt })) {
      if (typeof callback !== 'function') throw new TypeError(`${name} must be a function`)
    }
    if ((identityProvider === undefined) !== (signIn === undefined)) {
      throw new TypeError('identityProvider and signIn must be given together')
    }
    checkLimit(timeoutMs)
    const { read, used, ...auth } = ClientAuth.of(clientAuth)
    const nativeOptions = {
      url: textOrUrl(url, 'url'),
      loopback: isLoopback(transport),
      clientName,
      clientMetadata: clientMetadata === undefined ? undefined : JSON.stringify(clientMetadata),
      initialAccessToken,
      clientMetadataUrl: clientMetadataUrl === undefined ? undefined : String(clientMetadataUrl),
      clientId,
      clientSecret,
      ...auth,
      issuer,
      issuers: toStrings('issuers', issuers),
      onSeveralServers,
      signers: signers === undefined ? undefined : JSON.stringify(signers),
      grantType,
      withoutResource,
      resource,
      tlsClientCertificateBoundAccessTokens,
      device: device ? 'always' : open === undefined ? 'where_no_browser' : undefined,
      subject,
      redirectUri,
      patienceMs: timeoutMs,
      challenges: wwwAuthenticate === undefined ? undefined : [wwwAuthenticate].flat().map(String),
    }
    const storeHandle = store === undefined ? undefined : nativeStore(store)
    const requestTransport = selectTransport(network)
    const user = userCallbacks({
      open: (page) => this.#callUser(() => (open ?? showAndOpen)(page), openedOrTimedOut),
      show: (code) => this.#callUser(() => showPrompt(code)),
      signIn: (refused) => this.#callUser(() => (refused === undefined ? signIn.token() : signIn.renew(refused))),
      ...createHoldCallbacks(signIn),
    })
    const provider = identityProvider === undefined ? undefined : nativeClient(identityProvider)
    const key = dpopKey === undefined ? undefined : DpopKey.native(dpopKey)
    const make = () => native.NativeConnection.to(nativeOptions, user, storeHandle, requestTransport.network, read?.native, provider, key, used)
    this.#native = callNative(make)
    this.#url = nativeOptions.url
    this.#options = { network, ...options }
    // Bound, because it is passed on as a plain function, like the global `fetch`.
    Object.defineProperty(this, 'fetch', { value: (input, init) => this.#fetch(input, init) })
  }

  /** The URL of the API. */
  get url() { return this.#url }

  /** The extensions of the Model Context Protocol that a client with these tokens declares, with their settings. */
  get extensions() {
    const key = this.#native.extension
    return key ? { [key]: {} } : {}
  }

  /** The `authProvider` for the TypeScript SDK of the Model Context Protocol. */
  get authProvider() { return (this.#authProvider ??= new AuthProvider(this, (url) => this.#native.noteMetadata(url))) }

  /** Tokens that are fresh now: the current ones, or new ones, for which the user signs in if necessary. */
  token(options) {
    return this.#tokens(() => this.#native.token(), options)
  }

  /** Tokens that replace refused ones; no request is sent if they have been replaced already. */
  renew(refused, options) {
    const tokensHandle = nativeTokens(refused)
    return this.#tokens(() => this.#native.token(tokensHandle), options)
  }

  /** Tokens that satisfy a step-up challenge, for which the user signs in again; `undefined` if no user can. */
  async stepUp(tokens, required, options) {
    const tokensHandle = nativeTokens(tokens)
    const text = typeof required === 'string' ? required : JSON.stringify(required)
    return await this.#tokens(() => this.#native.stepUp(tokensHandle, text), options)
  }

  async #tokens(request, options) {
    const { signal, timeoutMs } = checkOptions('a call', options)
    signal?.throwIfAborted()
    checkLimit(timeoutMs)
    try {
      const tokens = await withNativeErrors(() => waitFor(this.#unlessAwaited(request()), { signal, timeoutMs }))
      return tokens === null || tokens === undefined ? undefined : new Tokens(tokens)
    } catch (error) {
      throw this.#takeFailure() ?? errorForCaller(error)
    }
  }

  /** The latest tokens, which no worker renews until `release` is called; nothing without a login. */
  async [HOLD](ms) {
    const held = await withNativeErrors(() => this.#native.hold(ms))
    return held ? { tokens: new Tokens(held.tokens), release: () => held.release() } : undefined
  }

  /** Calls a function of the application, and remembers what it throws, so that the same object can be rethrown. */
  async #callUser(callback, limited = (returned) => returned) {
    try {
      return await limited(waitForCallback(this, callback))
    } catch (error) {
      this.#failure = error
      throw error
    }
  }

  #endOfCallback(call) {
    return endOfCallback(call, (owner) => owner === this)
  }

  /** The tokens of the login under way, unless a callback of this login waits for them. */
  #unlessAwaited(tokens) {
    const outside = this.#endOfCallback('token')
    return outside === undefined ? tokens : Promise.race([tokens, outside.then(() => tokens)])
  }

  /** Returns what a function of the application threw since the last call, if anything, and forgets it. */
  #takeFailure() {
    const failure = this.#failure
    this.#failure = undefined
    return failure
  }

  /** Forgets these tokens, but no newer ones. */
  invalidate(refused) {
    this.#native.invalidate(refused === undefined ? undefined : nativeTokens(refused))
  }

  /** Forgets the tokens and the client, here and in the store: the next call starts over. */
  async forget() {
    const outside = this.#endOfCallback('forget')
    if (outside !== undefined) await outside
    await withNativeErrors(() => this.#native.forget())
  }

  /** `fetch` with the token, beneath the URL of the API only. */
  async #fetch(input, init) {
    this.#api ??= createSingleSourceApi(callNative(() => this.#native.api()), this, this.#options)
    return await this.#api.fetch(input, init)
  }

  [inspect.custom](depth, options) {
    return `ResourceConnection ${inspect({ url: this.#url }, options)}`
  }
}

module.exports = { ResourceConnection }
