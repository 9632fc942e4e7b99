// An API of which only the URL is known, such as a server of the Model Context Protocol.
import type { ApiRequestInit, LimitOptions, TokenSource } from './api.cjs'
import type { ClientAuth } from './client-auth.cjs'
import type { DpopKey } from './dpop.cjs'
import type { CallOptions, Client, DeviceAuthorizationResponse, Network, Store, Tokens, Transport } from './index.cjs'
import type { StepUp } from './registration.cjs'

export interface ResourceConnectionOptions extends LimitOptions {
  /** The name by which the client registers itself as a native app (RFC 7591), if the server does not know it. */
  clientName?: string | undefined
  /** All metadata with which it registers itself, by the registered names: `redirect_uris`, `scope` and so on. */
  clientMetadata?: Readonly<Record<string, unknown>> | undefined
  /** The initial access token, if registration requires one (RFC 7591 section 3). */
  initialAccessToken?: string | undefined
  /** The URL of the client's metadata document, which is its id at servers that support this. */
  clientMetadataUrl?: string | URL | undefined
  /** The id of a client that was registered manually at `issuer`. It is used only there. */
  clientId?: string | undefined
  clientSecret?: string | undefined
  clientAuth?: ClientAuth | undefined
  /** The server that knows `clientId`; by default the first of `issuers`. */
  issuer?: string | undefined
  /**
   * The only servers that may be used, even if the API names others (`connect.server_not_allowed`); the first of them that it
   * names is used.
   */
  issuers?: Iterable<string | URL> | undefined
  /**
   * What to do if the API names several servers, and neither `issuers` nor a client that is known at one of them decides: use
   * the `first` that it names, which is the default, or fail with `connect.several_servers`, which lists them.
   */
  onSeveralServers?: 'first' | 'error' | undefined
  /**
   * The issuers that are trusted to sign the API's metadata (RFC 9728), each with its JWK Set: what one of them has signed
   * takes precedence over what is unsigned.
   */
  signers?: Readonly<Record<string, object>> | undefined
  /** For a user, or for a client that acts for itself. */
  grantType?: 'authorization_code' | 'client_credentials' | undefined
  /** Keeps the client and the tokens, for all programs that share it. */
  store?: Store | undefined
  /** The user to whom the tokens belong, if one store has those of several people. */
  subject?: string | undefined
  /**
   * Shows the URL to the user; by default it is printed on standard error, and opened in the system's browser. A promise
   * that it returns may stay pending until the browser has come back. If it awaits a token of the connection before that,
   * it gets `misuse.deadlock` after a second.
   */
  open?: ((url: URL) => unknown) | undefined
  /**
   * The user enters a code on another device, if the server offers it (RFC 8628). Without `open` that is done automatically if
   * there is no browser.
   */
  device?: boolean | undefined
  /** Shows such a code; by default its prompt is printed on standard error. */
  show?: ((code: DeviceAuthorizationResponse) => unknown) | undefined
  /**
   * The client of an organization's identity provider, which vouches for the user, who need not visit the
   * API's server (draft-ietf-oauth-identity-assertion-authz-grant, MCP's enterprise-managed authorization). `connect.grant_not_supported` if the API's server accepts no such assertion.
   */
  identityProvider?: Client | undefined
  /**
   * The tokens of the user's sign-in there, with `openid`: `identityProvider.source(tokens)`, for example.
   * `identity_assertion.no_id_token` if they have to sign in there again.
   */
  signIn?: TokenSource | undefined
  /**
   * The key that tokens are bound to (RFC 9449). Without it, if the API requires bound tokens (RFC 9728), a key is created and
   * kept in `store`.
   */
  dpopKey?: DpopKey | undefined
  /** A registered redirect URI with a loopback address. By default a free port. */
  redirectUri?: string | undefined
  /**
   * Sends no `resource` (RFC 8707), for a server that refuses it, as Microsoft Entra's does. Its tokens are then for the API
   * that their scope names.
   */
  withoutResource?: boolean | undefined
  /** What is sent as `resource` to a server that knows the API by another name than the API's own. */
  resource?: string | undefined
  /**
   * Binds the tokens to the certificate of the `network` (RFC 8705), and registers a client that registers itself for
   * that.
   */
  tlsClientCertificateBoundAccessTokens?: boolean | undefined
  /** How long the user may take: 300 000 ms by default. */
  timeoutMs?: number | undefined
  /** The `WWW-Authenticate` of an earlier answer; the API is then not asked for it. */
  wwwAuthenticate?: string | readonly string[] | undefined
  /** `loopback_http` allows plain http to a literal loopback address, for tests. */
  transport?: Transport | undefined
  /**
   * Carries all requests. To a server that only the API has named they go to public addresses only, unless
   * `addresses` says otherwise (`lost.not_public`).
   */
  network?: Network | undefined
  /** Called with the milliseconds of each pause before it is waited for. */
  onWait?: ((ms: number) => void) | undefined
}

/**
 * An `OAuthClientProvider` of the TypeScript SDK of the Model Context Protocol, over a connection: see
 * {@link ResourceConnection.authProvider}. Its members are called by the SDK.
 */
export interface AuthProvider {
  readonly redirectUrl: undefined
  readonly clientMetadata: { redirect_uris: string[] }
  clientInformation(): undefined
  saveClientInformation(): void
  /**
   * The token to send, fresh now; `undefined` if the server asks for no authorization. Its errors are those of `token`.
   */
  tokens(): Promise<{ access_token: string; token_type: 'Bearer'; scope?: string } | undefined>
  saveTokens(): void
  redirectToAuthorization(): void
  saveCodeVerifier(): void
  codeVerifier(): string
  validateResourceURL(): Promise<undefined>
  /** Learns the URL of the server's metadata that a refusal names (RFC 9728 section 5.2): the next renewal looks there. */
  saveDiscoveryState(state: { resourceMetadataUrl?: string | undefined }): void
  discoveryState(): {
    authorizationServerUrl: string
    authorizationServerMetadata: {
      issuer: string
      authorization_endpoint: string
      registration_endpoint: string
      token_endpoint: string
      token_endpoint_auth_methods_supported: string[]
      response_types_supported: string[]
    }
    resourceMetadata: { resource: string }
  }
  /** Renews the token, or asks the user for more, after a message was refused. */
  prepareTokenRequest(): Promise<URLSearchParams>
  /** `all` and `client` forget the client and the tokens, `tokens` the current tokens. */
  invalidateCredentials(scope: 'all' | 'client' | 'tokens' | 'verifier' | 'discovery'): Promise<void>
}

/**
 * The tokens of an API of which only the URL is known: a source of tokens, and its `fetch`.
 *
 * Nothing is requested before a token is needed. Then the API is asked for its challenge and its metadata (RFC 9728), and
 * its authorization server is found. The client is one that was registered manually, or has a metadata document, or registers itself. The user signs in with their browser, and the tokens are kept fresh from then on.
 * They are requested with the API as their resource (RFC 8707), and sent only to URLs beneath its own
 * (`resource.not_covered`). A client that the server has forgotten is registered again, once. If the API requires more
 * scope or another login, the user is asked, twice an hour at most (`step_up.repeated`, `step_up.limit`).
 */
export class ResourceConnection implements TokenSource {
  /** Throws if no API can be at this URL, or if the options contradict each other. */
  constructor(url: string | URL, options?: ResourceConnectionOptions)
  /** The URL of the API. */
  readonly url: string
  /**
   * What a client of the Model Context Protocol declares with these tokens when it initializes: the `extensions` of its
   * `capabilities`, with their settings. Empty if a user signs in.
   */
  readonly extensions: Record<string, Record<string, never>>
  /**
   * Tokens that are fresh now: the current ones, or new ones, for which the user signs in if necessary. Rejects with the
   * errors of discovery, registration, login and token requests; `connect.no_client` if there is no client,
   * `connect.not_protected` if the API asks for no authorization: `fetch` then sends no token.
   */
  token(options?: CallOptions): Promise<Tokens>
  /** Tokens that replace refused ones; without a request if they have already been replaced. */
  renew(refused: Tokens, options?: CallOptions): Promise<Tokens>
  /**
   * Forgets exactly these tokens, for callers who need no others now; without tokens, forgets that the API asked
   * for no authorization.
   */
  invalidate(refused?: Tokens): void
  /**
   * Tokens that have what the API requires beyond these, for which the user signs in (RFC 9470); `undefined` for a
   * client that acts for itself, which has nobody to ask.
   */
  stepUp(tokens: Tokens, wanted: StepUp | string, options?: CallOptions): Promise<Tokens | undefined>
  /**
   * Forgets the tokens and the client, here and in the store: the next call starts over. For a server that has forgotten the
   * client, lets no registration be read, and says so only on a page in the browser, which no program sees. The server is not
   * informed.
   */
  forget(): Promise<void>
  /**
   * An `authProvider` for the TypeScript SDK of the Model Context Protocol, for transports that accept no `fetch`; the SDK then
   * sends the token itself, and its own token requests are not sent anywhere. Do not use it with any `fetch` but the global one. Tokens that are bound to a key work only with `fetch`.
   */
  readonly authProvider: AuthProvider
  /**
   * `fetch` with the token, renewed once after a 401, and again after the user was asked for more. It can be passed on as a
   * plain function, like the global one: to the `fetch` of an SDK's transport, for example.
   */
  readonly fetch: (input: string | URL | Request, init?: ApiRequestInit) => Promise<Response>
}
