// An API that is known by its URL alone, such as a server of the Model Context Protocol.
import type { ApiRequestInit, LimitOptions, TokenSource } from './api.cjs'
import type { ClientAuth } from './client-auth.cjs'
import type { DpopKey } from './dpop.cjs'
import type { CallOptions, Client, DeviceCode, Network, Store, Tokens, Transport } from './index.cjs'
import type { StepUp } from './registration.cjs'

export interface ResourceConnectionOptions extends LimitOptions {
  /** The name by which the client registers itself as a native app (RFC 7591), if the server does not know it. */
  clientName?: string | undefined
  /** All by which it registers itself, by the registered names: `redirect_uris`, `scope` and so on. */
  clientMetadata?: Readonly<Record<string, unknown>> | undefined
  /** The initial access token, if registration requires one (RFC 7591 section 3). */
  initialAccessToken?: string | undefined
  /** The URL of the client's metadata document, which is its id at servers that take such. */
  clientMetadataUrl?: string | URL | undefined
  /** The id of a client that was registered by hand at `issuer`. It is used there or nowhere. */
  clientId?: string | undefined
  clientSecret?: string | undefined
  clientAuth?: ClientAuth | undefined
  /** The server that knows `clientId`; by default the first of `issuers`. */
  issuer?: string | undefined
  /** The servers that may be asked, whichever others the API names (`connect.server_not_allowed`). */
  issuers?: Iterable<string | URL> | undefined
  /** For a person, or for a client that acts for itself. */
  grantType?: 'authorization_code' | 'client_credentials' | undefined
  /** Keeps the client and the tokens, for all programs that share it. */
  store?: Store | undefined
  /** Whose tokens they are, where one store has those of several people. */
  person?: string | undefined
  /** Shows the URL to the person; by default it is printed on standard error, and opened in the system's browser. */
  open?: ((url: URL) => unknown) | undefined
  /**
   * The person enters a code on another device, if the server offers it (RFC 8628). Without `open` that is done by itself
   * where there is no browser.
   */
  device?: boolean | undefined
  /** Shows such a code; by default its prompt is printed on standard error. */
  show?: ((code: DeviceCode) => unknown) | undefined
  /**
   * The client of an organisation's identity provider, which vouches for the person, who is sent nowhere
   * (draft-ietf-oauth-identity-assertion-authz-grant, MCP's enterprise-managed authorization). `connect.way` where the
   * API's server takes no such assertion.
   */
  identityProvider?: Client | undefined
  /**
   * The tokens of the person's sign-in there, with `openid`: `identityProvider.source(tokens)`, for example.
   * `identity_assertion.no_id_token` where they have to sign in there again.
   */
  signIn?: TokenSource | undefined
  /**
   * The key that tokens are bound to (RFC 9449). Without it they are where the API demands that (RFC 9728): to a key that is
   * made for it, and kept in `store`.
   */
  dpopKey?: DpopKey | undefined
  /** A redirect URI that is registered: a loopback address. By default a free port. */
  redirectUri?: string | undefined
  /**
   * Sends no `resource` (RFC 8707), for a server that refuses it, as Microsoft Entra's does. Its tokens are then for what
   * their scope says.
   */
  withoutResource?: boolean | undefined
  /** How long the person may take: 300 000 ms. */
  timeoutMs?: number | undefined
  /** The `WWW-Authenticate` of an answer that was met already; the API is then not asked for it. */
  wwwAuthenticate?: string | readonly string[] | undefined
  /** `loopback_http` allows plain http to a literal loopback address, for tests. */
  transport?: Transport | undefined
  /**
   * Carries all requests. To a server that the API alone has named they go to public addresses only, unless its
   * `addresses` say otherwise (`lost.not_public`).
   */
  network?: Network | undefined
  /** Called with the milliseconds of each pause before it is waited for. */
  onWait?: ((ms: number) => void) | undefined
}

/**
 * An `OAuthClientProvider` of the TypeScript SDK of the Model Context Protocol, over a connection: see
 * {@link ResourceConnection.authProvider}. Its members are the SDK's to call.
 */
export interface AuthProvider {
  readonly redirectUrl: undefined
  readonly clientMetadata: { redirect_uris: string[] }
  clientInformation(): undefined
  saveClientInformation(): void
  /** The token to send, fresh now; `undefined` where the server asks for no authorization. Its errors are those of `token`. */
  tokens(): Promise<{ access_token: string; token_type: 'Bearer'; scope?: string } | undefined>
  saveTokens(): void
  redirectToAuthorization(): void
  saveCodeVerifier(): void
  codeVerifier(): string
  validateResourceURL(): Promise<undefined>
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
  /** Renews the token, or asks the person for more, once a message was refused. */
  prepareTokenRequest(): Promise<URLSearchParams>
  /** `all` and `client` forget the client and the tokens, `tokens` the tokens at hand. */
  invalidateCredentials(scope: 'all' | 'client' | 'tokens' | 'verifier' | 'discovery'): Promise<void>
}

/**
 * The tokens of an API that is known by its URL alone: a source of tokens, and its `fetch`.
 *
 * Nothing is asked before a token is wanted. Then the API is asked for its challenge and for what it says about itself
 * (RFC 9728), and its authorization server is found. The client is the one that was registered by hand, or a metadata
 * document, or registers itself. The person signs in with their browser, and the tokens are kept fresh from then on.
 * They are asked for with the API as their resource (RFC 8707), and sent nowhere but beneath its URL
 * (`resource.not_covered`). A client that the server has forgotten is registered again, once. Where the API wants a
 * wider scope or another login, the person is asked, twice an hour at most (`step_up.repeated`, `step_up.limit`).
 */
export class ResourceConnection implements TokenSource {
  /** Throws where no API can be at this URL, or what is given contradicts itself. */
  constructor(url: string | URL, options?: ResourceConnectionOptions)
  /** The URL of the API. */
  readonly url: string
  /**
   * Tokens that are fresh now: those at hand, or new ones, for which the person signs in if need be. Rejects with the
   * errors of discovery, registration, login and token requests; `connect.client` where there is no client,
   * `connect.not_protected` where the API asks for no authorization: `fetch` goes without a token there.
   */
  token(options?: CallOptions): Promise<Tokens>
  /** Tokens to take the place of some that the API refused; without a request if that has happened already. */
  renew(refused: Tokens, options?: CallOptions): Promise<Tokens>
  /**
   * Forgets exactly these tokens, for callers who want no others now; with none, that the API asked for no
   * authorization.
   */
  invalidate(refused?: Tokens): void
  /**
   * Tokens that have what the API wants beyond these, for which the person signs in (RFC 9470); `undefined` for a
   * client that acts for itself, which has nobody to ask.
   */
  stepUp(tokens: Tokens, wanted: StepUp | string, options?: CallOptions): Promise<Tokens | undefined>
  /**
   * Forgets the tokens and the client, here and in the store: the next call begins from nothing. For a server that has
   * forgotten the client and shows people a page that says so, which no program sees. The server is told nothing.
   */
  forget(): Promise<void>
  /**
   * What the TypeScript SDK of the Model Context Protocol takes as `authProvider`, for what takes no `fetch`; the SDK then
   * sends the token by itself, and makes its own token requests to nobody. Give it to nothing that has another `fetch` than
   * the global one. Tokens that are bound to a key go with `fetch` alone.
   */
  readonly authProvider: AuthProvider
  /**
   * `fetch` with the token, renewed once after a 401, and again after the person was asked for more. It can be handed on
   * by itself, as the global one: to the `fetch` of an SDK's transport, for example.
   */
  readonly fetch: (input: string | URL | Request, init?: ApiRequestInit) => Promise<Response>
}
