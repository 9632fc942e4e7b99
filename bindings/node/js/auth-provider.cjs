'use strict'

// The `authProvider` for the TypeScript SDK of the Model Context Protocol, over a connection.
//
// The SDK (1.32) calls `tokens()` before each message. After a 401, and after a 403 that requires more scope, it runs
// its own OAuth flow, which passes a provider neither the status nor the token, and sends the message again only once
// its own token request was answered. So this provider has it send its requests nowhere: the metadata that it returns
// have `data:` URLs as endpoints, which `fetch` answers itself. In between, the connection obtains the tokens.

const { inspect } = require('#host')

/** The URL of an endpoint that returns this answer to any request, without the network. */
const answering = (answer) => `data:application/json,${encodeURIComponent(JSON.stringify(answer))}`

/** The issuer that the SDK believes to use. No such host exists (RFC 2606 section 2). */
const NOBODY = 'https://authorization-server.invalid'

const METADATA = {
  issuer: NOBODY,
  authorization_endpoint: `${NOBODY}/authorize`,
  registration_endpoint: answering({ client_id: 'nobody', redirect_uris: [] }),
  token_endpoint: answering({ access_token: 'none', token_type: 'Bearer' }),
  token_endpoint_auth_methods_supported: ['none'],
  response_types_supported: ['code'],
}

/** An `OAuthClientProvider` of the SDK. */
class AuthProvider {
  #connection
  /** The tokens that were returned last. */
  #last
  /** The renewal that is under way. */
  #renewal
  /** The challenges of refusals for which the SDK has not requested a new token yet. */
  #wanted = new Set()
  /** The URL of the server's metadata that the last refusal named. */
  #metadataUrl
  #noteMetadata

  constructor(connection, noteMetadata) {
    this.#connection = connection
    this.#noteMetadata = noteMetadata
  }

  /** None: the connection opens the browser itself. */
  get redirectUrl() { return undefined }

  /** The SDK passes on the scope of a challenge only as the `scope` of the client metadata. */
  get clientMetadata() {
    const wanted = this.#wanted
    return {
      redirect_uris: [],
      toJSON() {
        for (const name of (this.scope ?? '').split(' ')) if (name !== '') wanted.add(name)
        return { redirect_uris: [] }
      },
    }
  }

  /** None, so that each time it registers. */
  clientInformation() { return undefined }
  saveClientInformation() {}

  async tokens() {
    let tokens
    try {
      tokens = await this.#connection.token()
    } catch (error) {
      // Messages go without one.
      if (error.code === 'connect.not_protected') return undefined
      throw error
    }
    if (tokens.tokenType.toLowerCase() !== 'bearer') {
      throw new TypeError('the SDK sends no proofs with tokens that are bound to a key: give its transport the `fetch` of the connection')
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
   * The SDK passes on the metadata URL of a challenge (RFC 9728 section 5.2) only when it saves metadata that differ from
   * the ones it was given: so this returns different ones each time.
   */
  discoveryState() {
    return {
      authorizationServerUrl: NOBODY,
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
    const wanted = [...this.#wanted]
    this.#wanted.clear()
    const metadataUrl = this.#metadataUrl
    this.#metadataUrl = undefined
    const granted = new Set(refused?.scope)
    if (refused === undefined) await this.tokens()
    else if (wanted.some((name) => !granted.has(name))) await this.#connection.stepUp(refused, { scope: wanted.join(' ') })
    else await this.#renew(refused, metadataUrl)
    return new URLSearchParams({ grant_type: 'none' })
  }

  /** Messages that were refused at once wait for one renewal. */
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
