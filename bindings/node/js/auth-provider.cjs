'use strict'

// The `authProvider` for the TypeScript SDK of the Model Context Protocol, over a connection.
//
// The SDK (1.32) calls `tokens()` before each message. After a 401, and after a 403 that requires more scope, it runs
// its own OAuth flow, which passes the provider neither the status nor the token, and resends the message only after
// its own token request has succeeded. So this provider keeps those requests off the network: its metadata has `data:`
// URLs as endpoints, which `fetch` resolves itself. Meanwhile the connection obtains the tokens.

const { inspect } = require('#host')

/** The URL of an endpoint that returns this JSON to any request, without the network. */
const dataUrl = (json) => `data:application/json,${encodeURIComponent(JSON.stringify(json))}`

/** The issuer that the SDK is told. The host cannot exist (RFC 2606 section 2). */
const FAKE_ISSUER = 'https://authorization-server.invalid'

const METADATA = {
  issuer: FAKE_ISSUER,
  authorization_endpoint: `${FAKE_ISSUER}/authorize`,
  registration_endpoint: dataUrl({ client_id: 'nobody', redirect_uris: [] }),
  token_endpoint: dataUrl({ access_token: 'none', token_type: 'Bearer' }),
  token_endpoint_auth_methods_supported: ['none'],
  response_types_supported: ['code'],
}

/** Implements the SDK's `OAuthClientProvider`. */
class AuthProvider {
  #connection
  /** The tokens that were returned last. */
  #last
  /** The renewal that is under way. */
  #renewal
  /** The scope of challenges for which the SDK has not requested a new token yet. */
  #challengedScope = new Set()
  /** The metadata URL of the last challenge. */
  #metadataUrl
  #noteMetadata

  constructor(connection, noteMetadata) {
    this.#connection = connection
    this.#noteMetadata = noteMetadata
  }

  /** `undefined`: the connection opens the browser itself. */
  get redirectUrl() { return undefined }

  /** The SDK passes on the scope of a challenge only as the `scope` of the client metadata. */
  get clientMetadata() {
    const challengedScope = this.#challengedScope
    return {
      redirect_uris: [],
      toJSON() {
        for (const name of (this.scope ?? '').split(' ')) if (name !== '') challengedScope.add(name)
        return { redirect_uris: [] }
      },
    }
  }

  /** `undefined`, so that the SDK registers each time. */
  clientInformation() { return undefined }
  saveClientInformation() {}

  async tokens() {
    let tokens
    try {
      tokens = await this.#connection.token()
    } catch (error) {
      // The server requires no authorization: messages are sent without a token.
      if (error.code === 'connect.not_protected') return undefined
      throw error
    }
    if (tokens.tokenType.toLowerCase() !== 'bearer') {
      throw new TypeError('the SDK cannot send sender-constrained tokens: pass the connection\'s `fetch` to its transport')
    }
    this.#last = tokens
    return { access_token: tokens.accessToken, token_type: 'Bearer', scope: tokens.scope?.join(' ') }
  }

  saveTokens() {}
  redirectToAuthorization() {}
  saveCodeVerifier() {}
  codeVerifier() { return '' }

  /** The connection determines the resource itself. */
  async validateResourceURL() { return undefined }

  /**
   * The SDK reports the metadata URL of a challenge (RFC 9728 section 5.2) only when it saves metadata, which it does if
   * they are not the object it was given: so this returns a new object each time.
   */
  discoveryState() {
    return {
      authorizationServerUrl: FAKE_ISSUER,
      get authorizationServerMetadata() { return { ...METADATA } },
      resourceMetadata: { resource: this.#connection.url },
    }
  }

  saveDiscoveryState({ resourceMetadataUrl }) {
    this.#metadataUrl = resourceMetadataUrl
  }

  /** Called after each refusal, before the message is sent again. */
  async prepareTokenRequest() {
    const refused = this.#last
    const requestedScope = [...this.#challengedScope]
    this.#challengedScope.clear()
    const metadataUrl = this.#metadataUrl
    this.#metadataUrl = undefined
    const granted = new Set(refused?.scope)
    if (refused === undefined) await this.tokens()
    else if (requestedScope.some((name) => !granted.has(name))) await this.#connection.stepUp(refused, { scope: requestedScope.join(' ') })
    else await this.#renew(refused, metadataUrl)
    return new URLSearchParams({ grant_type: 'none' })
  }

  /** Renews the refused tokens; messages refused at the same time share one renewal. */
  async #renew(refused, metadataUrl) {
    if (this.#renewal === undefined && metadataUrl !== undefined) this.#noteMetadata(metadataUrl)
    this.#renewal ??= this.#connection.renew(refused).finally(() => { this.#renewal = undefined })
    await this.#renewal
  }

  async invalidateCredentials(scope) {
    if (scope === 'all' || scope === 'client') await this.#connection.forget()
    else if (scope === 'tokens' && this.#last !== undefined) this.#connection.invalidate(this.#last)
  }

  [inspect.custom](depth, options) {
    return `AuthProvider ${inspect({ url: this.#connection.url }, options)}`
  }
}

module.exports = { AuthProvider }
