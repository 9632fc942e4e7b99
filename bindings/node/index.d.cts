/** What went wrong in a conversation, and whose fault it was. No error holds a token, code or secret. */
export class OAuthError extends Error {
  protected constructor()
  /** A stable name for programs, such as `callback.state` or `denied.invalid_grant`: the same in every language. */
  readonly code: string
  /** Whose fault it was. */
  readonly kind: 'denied' | 'malformed' | 'untrusted' | 'lost' | 'misuse'
  /** What to do next. */
  readonly advice: 'retry' | 'reauthorize' | 'give_up'
  /** Seconds to wait before a retry, if the server named them. */
  readonly retryAfter: number | undefined
  /** The endpoint at work, such as `token`. */
  readonly endpoint: string | undefined
  /** The HTTP status of a refusal. */
  readonly status: number | undefined
  /** The OAuth `error` of a refusal. */
  readonly error: string | undefined
  /** The `error_description` of a refusal. */
  readonly errorDescription: string | undefined
  /** Members of a refusal that OAuth does not define. */
  readonly extra: Record<string, unknown>
  /** What lies underneath: the transport's error, for example. */
  readonly cause?: unknown
}
/** The server understood and said no. */
export class Denied extends OAuthError {
  readonly kind: 'denied'
}
/** The server, or whatever answered in its place, broke the protocol. */
export class Malformed extends OAuthError {
  readonly kind: 'malformed'
}
/** A check failed: the message may not be what it claims. Never act on its content. */
export class Untrusted extends OAuthError {
  readonly kind: 'untrusted'
}
/** No answer arrived. */
export class Lost extends OAuthError {
  readonly kind: 'lost'
}
/** The caller asked for what must not or cannot be done. */
export class Misuse extends OAuthError {
  readonly kind: 'misuse'
}

/** Names of scopes: one text with spaces between, or a list. */
export type Scope = string | Iterable<string>

/** What is looked at of a reply to the authorization server; `TokenSource.fetch` hands it on as it is. */
export interface FetchReply {
  readonly status: number
  readonly headers: Iterable<[string, string]> & { get(name: string): string | null }
  readonly body: unknown
}
/** Any `fetch`: `globalThis.fetch`, or one of a package, with a pool, a proxy or a certificate of its own. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- each package has a type of its own
export type Fetch = (url: string, init: any) => Promise<FetchReply>

/** Limits of one call. */
export interface CallOptions {
  /** Rejects the call with the signal's reason. */
  signal?: AbortSignal | undefined
  /** Rejects the call with `Lost` after this many milliseconds. */
  timeoutMs?: number | undefined
}

/**
 * For tests and replays, in place of the system's clock and random source: the Unix time in seconds, and
 * 32 bytes out of which state, nonce and verifier are made. No two flows may have the same bytes.
 */
export interface Moment {
  readonly now: number
  readonly seed: Uint8Array
}
/** Where a conversation gets its moments from, if not from the system. */
export interface MomentOptions {
  /** Asked before each step. */
  moment?: (() => Moment) | undefined
}

/** `loopback_http` allows plain `http` to a literal loopback address, for tests and sidecars. */
export type Transport = 'https' | 'loopback_http'

/** One authorization server: from {@link provider}, {@link discover} or {@link Server.fromMetadata}. */
export class Server {
  private constructor()
  /** A server by a metadata document at hand (RFC 8414), which must be the issuer's own. */
  static fromMetadata(
    issuer: string | URL,
    metadata: string | Record<string, unknown>,
    options?: { transport?: Transport },
  ): Server
  readonly issuer: string
  /** What the server says about itself, endpoints included. */
  readonly metadata: Record<string, unknown>
  /** The origins of the preset's API: where its tokens may be sent. */
  readonly apiOrigins: string[]
}

export interface ProviderOptions {
  /** Values the preset asks for, such as a tenant; each has a type and is checked. */
  variables?: Record<string, string>
  /** Documented deviations to turn on. */
  options?: string[]
  /** For tests: moves issuer, endpoints and API to this base, such as `http://127.0.0.1:1234`. */
  loopback?: string | undefined
}
/** A preset, by name. */
export function provider(name: string, options?: ProviderOptions): Server
/** The names of the presets. */
export function providers(): string[]

/** Fetches what a server says about itself (RFC 8414, OpenID Connect Discovery). */
export function discover(
  issuer: string | URL,
  options?: CallOptions & { transport?: Transport; fetch?: Fetch | undefined },
): Promise<Server>
/** The same as an exchange, for a driver of your own. */
export function discovery(issuer: string | URL, options?: MomentOptions & { transport?: Transport }): Exchange<Server>

/** The tokens of one grant. `console.log` and `JSON.stringify` do not show them. */
export class Tokens {
  private constructor()
  /** Reads what {@link Tokens.serialize} wrote. */
  static deserialize(text: string): Tokens
  readonly accessToken: string
  readonly tokenType: 'Bearer'
  readonly receivedAt: Date
  /** The lifetime in seconds, if the server named one. */
  readonly expiresIn: number | undefined
  readonly expiresAt: Date | undefined
  /** What was granted. */
  readonly scope: string[]
  readonly refreshToken: string | undefined
  /** The ID Token as it came: unverified, so of no use but to be verified. */
  readonly idToken: string | undefined
  /** Members RFC 6749 does not define. */
  readonly extra: Record<string, unknown>
  /** What was odd about the reply, such as `malformed_expires_in`. */
  readonly warnings: string[]
  readonly issuer: string
  readonly clientId: string
  /** Everything needed to go on after a restart: store it where secrets belong. */
  serialize(): string
  /** What may be shown. */
  toJSON(): Record<string, unknown>
}

/** One login between the authorization URL and its callback, used once. It holds secrets: keep it in the session. */
export class Flow {
  private constructor()
  /** Reads what `JSON.stringify(flow)` wrote. */
  static parse(text: string): Flow
  /** The key to find this flow by when several wait in one session. */
  readonly state: string
  readonly issuer: string
  readonly redirectUri: string
  readonly startedAt: Date
  /** Whether a callback is this flow's. One that is not must be turned away and the flow kept. */
  recognises(callback: string | URL): boolean
  /** What to store; it holds secrets. */
  toJSON(): Record<string, unknown>
}

export interface SourceOptions {
  /** Called with new tokens, and waited for, before any caller sees them: the place to store them. */
  onTokens?: (tokens: Tokens) => unknown
  /** Where {@link TokenSource.fetch} may send the token, instead of the preset's API. */
  origins?: Iterable<string | URL>
}

/** One grant, kept fresh: any number of callers with a stale token make one request. */
export class TokenSource {
  private constructor()
  /** A token that is fresh now. A caller that leaves does not stop the request others wait for. */
  token(options?: CallOptions): Promise<Tokens>
  /** A token to take the place of one that was refused; without a request if that has happened already. */
  renew(dead: Tokens, options?: CallOptions): Promise<Tokens>
  /** Forgets exactly this token. */
  invalidate(dead: Tokens): void
  /**
   * `fetch` with the token attached, to allowed origins only. A 401 about the token is answered once
   * with a new one, if the body can be sent again. Redirects are followed within the origin.
   */
  fetch(input: string | URL | Request, init?: RequestInit): Promise<Response>
}

export interface ClientOptions {
  clientId: string
  clientSecret?: string | undefined
  /** As the preset documents it; without a preset `client_secret_basic`. */
  clientAuth?: 'client_secret_basic' | 'client_secret_post' | 'none' | undefined
  /** Those registered for this client: any other is refused before a browser opens. */
  redirectUris?: string[] | undefined
  /** Sent with every request to the server. */
  headers?: Record<string, string>
  /** How long one request may take: 30 000 ms. */
  timeoutMs?: number | undefined
  /** Carries all requests instead of the native transport. */
  fetch?: Fetch | undefined
}

export interface AuthorizeOptions extends MomentOptions {
  redirectUri: string | URL
  scope?: Scope
  responseMode?: 'query' | 'fragment' | 'form_post'
  /** Parameters of the provider's own; none may have a protocol parameter's name. */
  extra?: Record<string, string | number | boolean>
}

export interface PasswordGrant {
  username: string
  password: string
  scope?: Scope
}

export type TokenHint = 'access_token' | 'refresh_token'

/** What the server says about a token (RFC 7662). */
export type Introspection = { active: false } | ({ active: true; scope?: string[]; aud?: string[] } & Record<string, unknown>)

/** This client, as one server knows it. */
export class Client {
  constructor(server: Server, options: ClientOptions)
  readonly server: Server
  readonly clientId: string
  /** The same conversations for a driver of your own. */
  readonly exchange: {
    clientCredentials(options?: MomentOptions & { scope?: Scope }): Exchange<Tokens>
    redeem(flow: Flow, callback: string | URL, options?: MomentOptions): Exchange<Tokens>
    refresh(tokens: Tokens, options?: MomentOptions & { scope?: Scope }): Exchange<Tokens>
    password(grant: PasswordGrant, options?: MomentOptions): Exchange<Tokens>
    revoke(token: string, options?: MomentOptions & { hint?: TokenHint }): Exchange<void>
    introspect(token: string, options?: MomentOptions & { hint?: TokenHint }): Exchange<Introspection>
  }
  /** A token for the client itself, kept fresh. */
  clientCredentials(options?: SourceOptions & { scope?: Scope }): TokenSource
  /** Tokens of a person, from a login or from storage, kept fresh. */
  source(tokens: Tokens, options?: SourceOptions): TokenSource
  /** Starts a login: the URL to open, and the flow to keep until the callback. */
  authorize(options: AuthorizeOptions): { url: URL; flow: Flow }
  /** Judges the callback and redeems its code. Every check runs; none can be left out. */
  redeem(flow: Flow, callback: string | URL, options?: CallOptions): Promise<Tokens>
  /** Spends the refresh token of these tokens. */
  refresh(tokens: Tokens, options?: CallOptions & { scope?: Scope }): Promise<Tokens>
  /** The password grant, for servers that offer nothing else: the client sees the password. */
  password(grant: PasswordGrant, options?: CallOptions): Promise<Tokens>
  /** Asks the server to forget a token. */
  revoke(token: string, options?: CallOptions & { hint?: TokenHint }): Promise<void>
  /** Asks the server about a token. */
  introspect(token: string, options?: CallOptions & { hint?: TokenHint }): Promise<Introspection>
}

/** Send this once, following no redirect; then `reply` or `lost`. */
export interface SendStep {
  readonly kind: 'send'
  readonly method: string
  readonly url: string
  readonly headers: [name: string, value: string][]
  readonly body: Uint8Array
}
/** Wait this long; then `elapsed`. */
export interface SleepStep {
  readonly kind: 'sleep'
  readonly ms: number
}
/** Sign this with a key of your own; then `signed` or `lost`. */
export interface SignStep {
  readonly kind: 'sign'
  readonly keyId: string
  readonly alg: string
  readonly signingInput: Uint8Array
}
/** It is over. */
export interface DoneStep<T> {
  readonly kind: 'done'
  readonly value: T
}
export type Step<T> = SendStep | SleepStep | SignStep | DoneStep<T>

/** One conversation, held as a value: tell it what happened, and it says what to do next. It opens no socket. */
export class Exchange<T> {
  private constructor()
  begin(): Step<T>
  /** The server answered, with at most 1 MiB of body. */
  reply(reply: { status: number; headers: Iterable<[string, string]>; body?: Uint8Array | undefined }): Step<T>
  /** No answer arrived, or no signature was made. `unsent`: the server surely never saw it. */
  lost(reason: unknown, reach?: 'unsent' | 'unknown' | 'too_large'): Step<T>
  elapsed(): Step<T>
  signed(signature: Uint8Array): Step<T>
}

export interface RunOptions extends CallOptions {
  fetch?: Fetch | undefined
  sign?: (job: SignStep) => Uint8Array | Promise<Uint8Array>
  /** How long one request may take: 30 000 ms. */
  requestTimeoutMs?: number
}
/** Runs an exchange to its end over any `fetch`. */
export function run<T>(exchange: Exchange<T>, options?: RunOptions): Promise<T>

export interface LoginOptions extends CallOptions {
  scope?: Scope
  extra?: Record<string, string | number | boolean>
  /** Shows the URL to the person; by default with the system's browser. */
  open?: (url: URL) => unknown
  /** A free one by default. */
  port?: number
  /** `/callback` by default. */
  path?: string
}
/** The login of native apps (RFC 8252): a loopback listener, the person's browser, the tokens. */
export function login(client: Client, options?: LoginOptions): Promise<Tokens>
/** Opens a URL in the person's browser, without a shell. */
export function openBrowser(url: URL): void
