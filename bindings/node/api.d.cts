// Calling an API: where tokens come from, which token a request carries, and how often it may be sent.
import type { ResourceConnection } from './connection.cjs'
import type { CallOptions, Fetch, MaybePromise, Network, Server, Tokens, Transport } from './index.cjs'

declare global {
  /** Known to `esnext.disposable` and to Node's types; declared here so that this compiles without either. */
  interface SymbolConstructor {
    readonly asyncDispose: unique symbol
  }
}

/**
 * Anything that returns a token when one is requested. {@link GrantSource} keeps a grant fresh, {@link FixedToken} has
 * a single token; write your own to count, log or choose, or to replace them in tests, with `Tokens.bearer('text')` for
 * tokens. Any object of this shape is accepted as a source.
 */
export interface TokenSource {
  /** A token that is valid, unless the server has revoked it in the meantime. */
  token(options?: CallOptions): Promise<Tokens>
  /**
   * A token in place of one that a resource server refused; without a request, if another caller has already
   * replaced it. Rejects if there is none.
   */
  renew(refused: Tokens, options?: CallOptions): Promise<Tokens>
  /** Forgets exactly this token, for callers who do not need another one now. */
  invalidate(refused: Tokens): void
  /**
   * The grant whose tokens these are. If this source is a sign-in, the refresh token of the grant is then sent only
   * while no worker renews it: a server that rotates refresh tokens could otherwise take it for stolen.
   */
  readonly grant?: GrantSource | ResourceConnection
}

/** Which token a route requires: `any` if the API, or its caller, has only one kind. */
export type Owner = 'application' | 'user' | 'any'

/**
 * What to do if the API asks for a pause: a 429, a 503 that names one, or an allowance that is used
 * up. `error`: reject with `DeniedError` `resource.rate_limited`, whose `retryAfter` is the pause in seconds; while the
 * pause lasts, other requests are rejected unsent. `wait`: wait and send again, in the order of the calls, and
 * reject if that would take too long. `pass`: return the reply unchanged, and delay no other request.
 */
export type OnRateLimit = 'error' | 'wait' | 'pass'

/** At most this many requests in any period of this many seconds. */
export interface Allowance {
  requests: number
  seconds: number
}

/**
 * A reply that means that a token has expired: its status and, if the JSON body says so, the values of its members.
 * Names are separated by dots: `{ status: 200, body: { 'error.code': [190] } }`. All members have to have one
 * of their values; without any, the status has to be an error. At most 16 KiB of a body are examined.
 */
export interface ExpiredTokenReply {
  status: number
  body?: Readonly<Record<string, ReadonlyArray<string | number | boolean>>> | undefined
}

/** The options that an API and a single request have in common. */
export interface LimitOptions {
  /** `error` by default. */
  onRateLimit?: OnRateLimit | undefined
  /** How long all pauses of a request may take in total, for `wait`: 300 000 ms. */
  longestWaitMs?: number | undefined
}

export interface ApiOptions extends LimitOptions {
  /** Where tokens may be sent, instead of the preset's API: any URL of each origin. */
  origins?: Iterable<string | URL> | undefined
  /** Stays within this allowance, so that the server need not refuse; `documented` is the preset's. None by default. */
  allowance?: 'documented' | Allowance | undefined
  /**
   * Replies, besides a 401, that mean that a token has expired: they lead to one renewal and a repeated request.
   * In place of the preset's rules.
   */
  expiredTokenReplies?: Iterable<ExpiredTokenReply> | undefined
  /** Called with the milliseconds of each pause before it is waited for: the place to show progress. */
  onWait?: ((ms: number) => void) | undefined
  /** Carries the requests instead of `globalThis.fetch`, such as that of an undici pool. */
  fetch?: Fetch | undefined
  /** Carries the requests; without either, they use the transport of the first source's client. */
  network?: Network | undefined
}

/** An API whose routes belong to two owners. */
export interface OwnersOptions extends ApiOptions {
  /** For the application's routes: a source of its own tokens, from client credentials. */
  app?: TokenSource | undefined
  /** For the user's routes: a source of that user's tokens. */
  user?: TokenSource | undefined
}

/** What `fetch` takes, and how long this request may wait. */
export interface ApiRequestInit extends RequestInit, LimitOptions {}

/**
 * An API, and the sources of the tokens that its requests carry: from `server.api` or `source.api`. All callers
 * share what is known of its limits.
 */
export class Api {
  private constructor()
  /**
   * `fetch` with the token of the route's owner attached, to allowed origins only. A 401 about the token is
   * answered by one retry with a new token, and a requested pause is observed, if the body can be sent again. Redirects are followed
   * within the origin as `fetch` follows them, with the token of the route they lead to; one to another origin is
   * returned. `redirect: 'manual'` returns every one, `'error'` rejects.
   */
  fetch(input: string | URL | Request, init?: ApiRequestInit): Promise<Response>
  /** Which token a request to this URL carries; throws if it would be refused. */
  owner(url: string | URL): Owner
}

/**
 * One grant, kept fresh: any number of callers with a stale token make one request, and with a store
 * so do all workers together. A token that is about to expire is still returned while the next is fetched.
 */
export class GrantSource implements TokenSource {
  private constructor()
  /** The name of the record in a store. */
  readonly key: string
  /**
   * A token that is fresh now. A caller that leaves, by its `signal` or with `LostError` `lost.timeout` after its
   * `timeoutMs`, does not stop the request others wait for, and what that brings is kept.
   */
  token(options?: CallOptions): Promise<Tokens>
  /** A token that replaces a refused one; without a request if it has already been replaced. */
  renew(refused: Tokens, options?: CallOptions): Promise<Tokens>
  /** Forgets exactly this token. */
  invalidate(refused: Tokens): void
  /** Adopts the tokens of a new login in place of any others, and stores them. */
  logIn(tokens: Tokens): Promise<void>
  /**
   * Logs the user out: waits for a renewal under way, asks the server to revoke the tokens (RFC 7009), and removes them
   * here and in the store, even if the server could not be asked and this rejects. Callers then get
   * `grant.no_refresh_token`, here and, once they read the store, in other workers. A source from `Grants.get` does what
   * `Grants.logOut` does with its grant. Client credentials request a new token when they are asked for one again.
   * In `onTokens` it begins once that has ended; `misuse.deadlock` if `onTokens` takes more than a second longer, as when it
   * awaits this.
   */
  logOut(): Promise<void>
  /**
   * Shuts this source down gracefully before the process exits: no new renewal begins, one that was sent is finished,
   * and its result is stored. The current token is returned until it expires; after that, `token_source.closed`. Rejects
   * with `LostError` if that takes longer than the given time, by default 10 000 ms. In `onTokens` it behaves as
   * {@link GrantSource.logOut} does.
   */
  drain(options?: CallOptions): Promise<void>
  /**
   * The same as {@link GrantSource.drain}; `await using` calls it at the end of its block. A source from `Grants.get` belongs to
   * the sessions: it is only released, and its grant is kept fresh for the others.
   */
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
  /** {@link Api.fetch} of this source's own API, with one token for all routes. */
  fetch(input: string | URL | Request, init?: ApiRequestInit): Promise<Response>
  /** An API with this source for all routes, and its own limits. */
  api(options?: ApiOptions): Api
}

/** Where a manually created token is. Everything but a literal string is read again each time. */
export type FixedTokenPlace =
  | string
  /** In the environment variable of this name, of the process. */
  | { env: string }
  /** In this file, of at most 64 KiB; surrounding white space is ignored. */
  | { file: string | URL }
  /** From this function. Callers get what it throws. */
  | { callback: () => MaybePromise<string> }

export interface FixedTokenOptions {
  /** Where the token may be sent: any URL of each origin, or the server whose API it is for. */
  origins?: Iterable<string | URL> | Server | undefined
  /** When it expires, if known: afterwards callers get `grant.expired`, and nothing is sent. */
  expiresAt?: Date | undefined
  /** What `origins` may be, if they are URLs. */
  transport?: Transport | undefined
  /** Carries the requests instead of `globalThis.fetch`. */
  fetch?: Fetch | undefined
  /** Carries the requests. */
  network?: Network | undefined
}

/**
 * A single token that came from no grant. It is never renewed: a 401 about it rejects the request with
 * `DeniedError` `grant.revoked` and the advice `reauthorize`, that is, to create another one; if a different token is there
 * by then, it is tried once first.
 */
export class FixedToken implements TokenSource {
  private constructor()
  /** The token that is there now; `token_source.unreadable` if there is none, `grant.expired` after its expiry. */
  token(options?: CallOptions): Promise<Tokens>
  /** The token that has since replaced the refused one; `grant.revoked` if none has. */
  renew(refused: Tokens, options?: CallOptions): Promise<Tokens>
  /** Does nothing: the token is read again each time anyway. */
  invalidate(refused: Tokens): void
  /** {@link Api.fetch} of the API at its origins. */
  fetch(input: string | URL | Request, init?: ApiRequestInit): Promise<Response>
  /** An API with this token for all routes, and its own limits. */
  api(options?: ApiOptions): Api
}

/** A source of a single token that was created manually, or is kept fresh elsewhere. */
export function fixedToken(token: FixedTokenPlace, options?: FixedTokenOptions): FixedToken
