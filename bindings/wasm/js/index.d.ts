import type { AskedFor } from './ops.js'
import type {
  Advice, DeniedCode, ErrorCode, LostCode, MalformedCode, MisuseCode, UntrustedCode,
} from './error-codes.js'
import type { AddressClaim, IdTokenClaims, StandardClaims, UserInfoClaims } from './user-claims.js'

export type { Advice, DeniedCode, ErrorCode, LostCode, MalformedCode, MisuseCode, UntrustedCode }
export type { AddressClaim, IdTokenClaims, StandardClaims, UserInfoClaims }
export type { AddressClaim as Address, UserInfoClaims as UserClaims }

/**
 * What to do if an API asks for a pause: a 429, or a 503 that names one. `error`: reject with
 * `DeniedError` `resource.rate_limited`, whose `retryAfter` is the pause in seconds; while the pause lasts, other
 * requests are rejected unsent. `wait`: wait and send again, in the order of the calls, and reject if that would
 * take too long. `pass`: return the reply unchanged, and delay no other request.
 */
export type OnRateLimit = 'error' | 'wait' | 'pass'

/** The options that a session and a single request have in common. */
export interface LimitOptions {
  /** `error` by default. */
  onRateLimit?: OnRateLimit
  /** How long all pauses of a request may take in total, for `wait`. By default 300 000 milliseconds. */
  longestWaitMs?: number
}

/** The options of `fetch`, and those for rate limits. */
export interface ApiRequestInit extends RequestInit, LimitOptions {}

/** The server and the client. A client secret is refused: see `clientSecret`. */
export interface Config extends LimitOptions {
  /** A preset by name, see `providers`. */
  provider?: string
  /** The preset's variables, such as the tenant. */
  variables?: Record<string, string>
  /** The preset's options. */
  options?: string[]
  /** The server's issuer, if there is no preset; its metadata is fetched. */
  issuer?: string
  /** The metadata document (RFC 8414), so that nothing is fetched. */
  metadata?: Record<string, unknown>
  /**
   * For tests: lets a server be plain http on a loopback address. With a preset, the base its URLs
   * move to, such as `http://127.0.0.1:1234`.
   */
  loopback?: boolean | string
  clientId: string
  /** Exactly as registered, and of the page's own origin. The page there calls `handleCallback`. */
  redirectUri: string
  /** The resources that tokens are for, as absolute URIs (RFC 8707): requested at sign-in and with each renewal. */
  resource?: string[]
  /** The audiences, as some servers call them, requested in the same way. */
  audience?: string[]
  /** Parameters for the token endpoint that the provider documents. A page can keep nothing secret. */
  tokenExtra?: Record<string, string | string[]>
  /**
   * The content of the response. With `code id_token`, an ID token returned with the code is verified before the code is
   * sent (OpenID Connect Core section 3.3). By default `code`.
   */
  responseType?: 'code' | 'code id_token'
  /**
   * Where the response is in the redirect URI: in the query, or after the `#`, which is not sent to any server. By
   * default in the query, or after the `#` if it contains an ID token. With `jwt` and its variants it is signed (JARM).
   */
  responseMode?: 'query' | 'fragment' | 'jwt' | 'query.jwt' | 'fragment.jwt'
  /**
   * Binds tokens to a key (RFC 9449), so that copies of them are useless. `true` creates one that cannot be exported
   * from WebCrypto, in IndexedDB, for all tabs of this client; a key pair of the page's own signs by ECDSA over P-256.
   * An API at another origin has to allow the header `DPoP`, and to expose `DPoP-Nonce` and `WWW-Authenticate` (CORS).
   */
  dpop?: boolean | CryptoKeyPair
  /**
   * Rules that the client keeps to: what they forbid is refused with `profile.forbidden`, which names the clause. A
   * page cannot use those of FAPI 2.0: they require a client that authenticates with a key that the server knows
   * (section 5.3.3.1), and nothing in a page is hidden from its visitors. They are refused before anything is sent.
   */
  profile?: 'oauth21' | 'strict'
  /** The origins that tokens may be sent to. By default those of the preset, or otherwise the page's own. */
  api?: string[]
  /**
   * The place of the tokens. By default only in memory; `session` survives a reload of the tab; your own storage
   * is for workers and extensions, which have none. Anything that can read it has the tokens.
   */
  storage?: 'memory' | 'session' | TokenStorage
  /** Whether tabs share the session and its refresh. On by default. */
  tabs?: boolean
  /** How long the server may take to answer, in milliseconds. By default 30 000. */
  timeoutMs?: number
  /** Called with the milliseconds of each pause before it is waited for: the place to show progress. */
  onWait?: (ms: number) => void
  /** Called with every step as it happens, without any secret. */
  observe?: (event: Observed) => void
  /** Where the WebAssembly module is, if not beside the package. */
  wasm?: string | URL | BufferSource | WebAssembly.Module
  /** Always refused with `client_auth.secret_not_allowed`, and the reason. */
  clientSecret?: never
}

/** The storage of a session: `localStorage`, or any object with these methods, which may return promises. */
export interface TokenStorage {
  getItem(key: string): string | null | undefined | Promise<string | null | undefined>
  setItem(key: string, value: string): void | Promise<void>
  removeItem(key: string): void | Promise<void>
}

export interface SignInOptions extends Omit<
  AskedFor,
  'redirectUri' | 'responseType' | 'responseMode' | 'resource' | 'audience' | 'tokenExtra' | 'requestUri' | 'tokens'
  | 'context' | 'user'
> {
  /** `redirect` leaves the page; `popup` must be called from a click. */
  mode?: 'redirect' | 'popup'
  /**
   * Where the user continues afterwards, returned as `session.returnTo`: a path of this origin,
   * or a URL of it; anything else is refused with `return_to.refused`.
   */
  returnTo?: string
  /**
   * For a `stepUp`: the session whose token was not enough. What was granted is requested again, and a requirement that
   * its login was already made for is not requested twice (`step_up.repeated`).
   */
  session?: Session
  /** Gives up; a popup is closed. */
  signal?: AbortSignal
}

/**
 * A warning about an authorization request, which is made anyway. `acr_values_unsupported`: according to its metadata,
 * the server knows none of the `acrValues` (RFC 9470 section 7). `authorization_details_unprotected`: the
 * `authorizationDetails` go through the browser unsigned, and can be changed on the way; `push` the request (RFC 9396
 * section 12).
 */
export type AuthorizationWarning = 'acr_values_unsupported' | 'authorization_details_unprotected'

/** The events that an observer receives. Values are shown if they reveal nothing, and are `[redacted]` otherwise. */
export type Observed =
  | { kind: 'authorize'; url: string; parameters: Record<string, string>; warnings: AuthorizationWarning[] }
  | { kind: 'callback'; url: string; parameters: Record<string, string> }
  | { kind: 'request'; method: string; url: string; parameters: Record<string, string> }
  | { kind: 'response'; status: number; bytes?: number; members: Record<string, string> }
  | { kind: 'lost'; why: string }
  | { kind: 'api'; method: string; url: string }
  | { kind: 'api-response'; status: number }
  | { kind: 'renew'; why: string }
  | { kind: 'tab'; what: string }
  | { kind: 'end' }

/**
 * The step-up that an API's response requires of the user (RFC 9470), for `signIn` as `stepUp`, with the `session` whose token
 * was not enough: another login, or more scope; `undefined` if no other login would help. The reply has to let the page
 * read its `WWW-Authenticate` (CORS).
 */
export function stepUp(response: Pick<Response, 'status' | 'headers'>): Promise<Record<string, unknown> | undefined>

/** With a popup, returns the session; with a redirect, the browser leaves the page and this never settles. */
export function signIn(config: Config, options?: SignInOptions): Promise<Session>

/**
 * On the page of the redirect URI: redeems the callback, cleans the address bar, returns the session. In a popup,
 * passes the callback to the opener and returns `null`. Without a callback, does `restore`: a URL is a callback if its
 * path is the redirect URI's and its query contains `state` and `code` or `error`. Called again, immediately or later,
 * it returns the same session.
 */
export function handleCallback(config: Config): Promise<Session | null>

/**
 * The session that another tab holds, or that this tab kept; or `null`. With `wait`, the session of
 * the next sign-in in another tab, if there is none yet. It needs no page: a worker may call it.
 */
export function restore<Options extends RestoreOptions>(
  config: Config,
  options?: Options,
): Promise<Options extends { wait: true } ? Session : Session | null>

export interface RestoreOptions {
  /** Whether to wait for a sign-in in another tab. */
  wait?: boolean
  /** Ends the waiting. */
  signal?: AbortSignal
}

/** The options for one caller's wait. */
export interface CallOptions {
  /** Rejects the call with the signal's reason. */
  signal?: AbortSignal
  /** Rejects the call with `LostError` `lost.timeout` after this many milliseconds. */
  timeoutMs?: number
}

/** The state of a session, for display. */
export type Snapshot =
  | { readonly signedIn: true; readonly scope: string; readonly expiresAt: Date | undefined }
  | { readonly signedIn: false; readonly scope?: undefined; readonly expiresAt?: undefined }

/** A change of the session, in any tab. */
export interface Change {
  kind: 'signed-in' | 'renewed' | 'ended'
}

/** The names of the presets. */
export const providers: readonly string[]

/** A permission in detail (RFC 9396 section 2). Members that its `type` defines are added. */
export interface AuthorizationDetail {
  type: string
  locations?: string[]
  actions?: string[]
  datatypes?: string[]
  privileges?: string[]
  identifier?: string
  [member: string]: unknown
}

/** The session of a signed-in user. */
export class Session {
  private constructor()
  readonly signedIn: boolean
  /** The granted scope. */
  readonly scope: string
  /**
   * The permissions that were granted (RFC 9396 section 7), if the server says: `MalformedError` `token_response.malformed` if
   * they are invalid.
   */
  readonly authorizationDetails: AuthorizationDetail[] | undefined
  /**
   * Those of the wanted permissions that were not granted, to the extent that RFC 9396 section 2.2 defines them: what a
   * type itself defines, such as an amount, the page has to compare. `MisuseError` `authorization_details.malformed`
   * for invalid permissions.
   */
  missingAuthorizationDetails(requested: readonly AuthorizationDetail[]): AuthorizationDetail[]
  /** When the access token expires, if the server states it. */
  readonly expiresAt: Date | undefined
  /** The `returnTo` that was passed to `signIn`. */
  readonly returnTo: string | undefined
  /** Calls `listener` after every change; returns a function that ends this. May be passed on as a plain function. */
  readonly subscribe: (listener: (change: Change) => void) => () => void
  /** The same object until something changes, for React's `useSyncExternalStore`. */
  readonly getSnapshot: () => Snapshot
  /**
   * The user who signed in: the claims of the ID token (OpenID Connect Core section 2), verified in the page of the sign-in, which
   * passes them on together with the tokens. `undefined` without the scope `openid`. `iss` and `sub` together identify a
   * user.
   */
  readonly claims: IdTokenClaims | undefined
  /** The ID token as received. Its verified content is in `claims`. */
  readonly idToken: string | undefined
  /**
   * The claims of the UserInfo endpoint (OpenID Connect Core section 5.3): `UntrustedError` `userinfo.subject` if they
   * are about another user. Other errors: `endpoint.missing`, `userinfo.malformed`, `denied.*`, `lost.*`; a `TypeError`
   * for a session without an ID token.
   */
  userinfo(): Promise<UserInfoClaims>
  /**
   * The URL to send the user to in order to be signed out at the server, too (OpenID Connect RP-Initiated Logout 1.0):
   * call it before {@link Session.signOut}, then assign it to `location`. It contains the ID token, as the standard
   * recommends.
   * `endpoint.missing` if the server has no such page.
   */
  endSessionUrl(options?: { postLogoutRedirectUri?: string | URL | undefined, state?: string | undefined }): URL
  /**
   * An access token that is valid, unless the server has revoked it in the meantime. A caller that leaves, by its
   * `signal` or with `LostError` `lost.timeout` after its `timeoutMs`, does not stop the renewal, and its result is kept.
   */
  token(options?: CallOptions): Promise<string>
  /**
   * `fetch` with the token: to the allowed origins, without following redirects. It is repeated once after a 401, and
   * after a pause that the API asks for, if the body can be sent again.
   */
  fetch(input: RequestInfo | URL, init?: ApiRequestInit): Promise<Response>
  /** Asks the server to revoke the tokens; they are removed from every tab in any case. */
  revoke(): Promise<void>
  /** Ends the session in every tab, and at the server if it can be asked and answers. */
  signOut(): Promise<void>
}

export interface FixedTokenOptions extends LimitOptions, Pick<Config, 'observe' | 'onWait' | 'wasm'> {
  /** Where the token may be sent: scheme, host and port of each origin. */
  origins: Iterable<string | URL>
  /** When it expires, if known: afterwards callers get `grant.expired`, and nothing is sent. */
  expiresAt?: Date
  /** For tests: lets the origins be plain http on a loopback address. */
  loopback?: boolean
}

/** A single token that came from no grant. */
export interface FixedToken {
  /** The token; `grant.expired` after its expiry. */
  token(): Promise<string>
  /** Like `Session.fetch`; a 401 about the token rejects with `grant.revoked`, because it cannot be renewed. */
  fetch(input: RequestInfo | URL, init?: ApiRequestInit): Promise<Response>
}

/** A token that a user created manually, in a provider's console, and pasted. It is kept only in memory. */
export function fixedToken(token: string, options: FixedTokenOptions): FixedToken

/** An error of an operation between this page and an authorization server. */
export class OAuthError extends Error {
  /** Stable, and the same in every language, such as `callback.state`. */
  readonly code: ErrorCode
  /** Which party was at fault. */
  readonly kind: 'denied' | 'malformed' | 'untrusted' | 'lost' | 'misuse'
  readonly advice: Advice
  /**
   * Seconds to wait before asking again: the pause that the server named, or the rest of the backoff after
   * failures. Only if `advice` is `retry`; then always where a session failed to get a token.
   */
  readonly retryAfter: number | undefined
  /** Whether this repeats the error of the last attempt, without a new request (backoff). */
  readonly repeated: boolean
  readonly endpoint: string | undefined
  /** The URL that was requested, without its query; of an API only the origin. */
  readonly url: string | undefined
  /** The HTTP status, `error` and `error_description` of a refusal. */
  readonly status: number | undefined
  readonly error: string | undefined
  readonly errorDescription: string | undefined
  readonly extra: Record<string, unknown>
}
// generated by cargo xtask codegen, do not edit
/** Refused: by the server, or unsent while its refusal still holds. */
export class DeniedError extends OAuthError {
  readonly kind: 'denied'
  readonly code: DeniedCode
}
/** The server, or whatever answered in its place, broke the protocol. */
export class MalformedError extends OAuthError {
  readonly kind: 'malformed'
  readonly code: MalformedCode
}
/** A check failed: the message may be forged, replayed or meant for somebody else, or a site does not serve the request. Never act on its content. */
export class UntrustedError extends OAuthError {
  readonly kind: 'untrusted'
  readonly code: UntrustedCode
}
/** No reply arrived. The request may have been carried out all the same. */
export class LostError extends OAuthError {
  readonly kind: 'lost'
  readonly code: LostCode
}
/** The call cannot be carried out: its arguments, the settings or the state of the grant do not allow it. */
export class MisuseError extends OAuthError {
  readonly kind: 'misuse'
  readonly code: MisuseCode
}
// end of what is generated
