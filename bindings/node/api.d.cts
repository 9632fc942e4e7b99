// Calling an API: where tokens come from, whose token a request carries, and how often it may be sent.
import type { CallOptions, Fetch, MaybePromise, Network, Server, Tokens, Transport } from './index.cjs'

declare global {
  /** Known to `esnext.disposable` and to Node's types; whoever has neither can compile this all the same. */
  interface SymbolConstructor {
    readonly asyncDispose: unique symbol
  }
}

/**
 * Whatever has a token when one is asked for. {@link GrantSource} keeps a grant fresh, {@link FixedToken}
 * has one token and no other; write one of your own to count, log or choose, or to stand in for them in
 * tests, with `Tokens.bearer('text')` for tokens. Whoever takes a source takes any object of this shape.
 */
export interface TokenSource {
  /** A token that is good as far as can be known. */
  token(options?: CallOptions): Promise<Tokens>
  /**
   * A token in place of one that a resource server refused; the newer one without a request, if another
   * caller has replaced it already. Rejects where there is none.
   */
  renew(refused: Tokens, options?: CallOptions): Promise<Tokens>
  /** Forgets exactly this token, for callers who do not want another one now. */
  invalidate(refused: Tokens): void
}

/** Whose token a route needs: `any` where the API, or whoever calls it, has one kind. */
export type Owner = 'application' | 'user' | 'any'

/**
 * What to do where the API asks for a pause: a 429, a 503 that names one, or an allowance that is used
 * up. `error`: reject with `Denied` `resource.rate_limited`, whose `retryAfter` are the seconds; while the
 * pause lasts, other requests are rejected unsent. `wait`: wait and send again, in the order of asking, and
 * reject where that would take too long. `pass`: hand the reply back as it is, and hold nobody back.
 */
export type RateLimit = 'error' | 'wait' | 'pass'

/** At most this many requests in any period of this many seconds. */
export interface Allowance {
  requests: number
  seconds: number
}

/**
 * A reply that says that a token has ended: its status and, if its JSON body tells, the values that members have
 * there. Names are separated by dots: `{ status: 200, body: { 'error.code': [190] } }`. All members have to have one
 * of their values; without any, the status has to be an error. No more than 16 KiB of a body are looked at.
 */
export interface EndedToken {
  status: number
  body?: Readonly<Record<string, ReadonlyArray<string | number | boolean>>> | undefined
}

/** Of an API, and of a single request. */
export interface LimitOptions {
  /** `error` by default. */
  rateLimit?: RateLimit | undefined
  /** How long all pauses of a request may take together, for `wait`: 300 000 ms. */
  longestWaitMs?: number | undefined
}

export interface ApiOptions extends LimitOptions {
  /** Where tokens may be sent, instead of the preset's API: any URL of each origin. */
  origins?: Iterable<string | URL> | undefined
  /** Keeps to this before the server says no; `documented` is what the preset knows. Nothing by default. */
  allowance?: 'documented' | Allowance | undefined
  /**
   * What says that a token has ended, beside a 401 about it: such a reply is answered by one renewal, and the
   * request again. In place of the preset's rules.
   */
  endedTokens?: Iterable<EndedToken> | undefined
  /** Called with the milliseconds of each pause before it is waited for: the place to show progress. */
  onWait?: ((ms: number) => void) | undefined
  /** Carries the requests instead of `globalThis.fetch`, such as that of an undici pool. */
  fetch?: Fetch | undefined
  /** Carries the requests; without either, they go the way of the first source's client. */
  network?: Network | undefined
}

/** An API whose routes belong to two owners. */
export interface OwnersOptions extends ApiOptions {
  /** For the application's routes: a source of its own tokens, from client credentials. */
  app?: TokenSource | undefined
  /** For the person's routes: a source of that person's tokens. */
  user?: TokenSource | undefined
}

/** What `fetch` takes, and how long this request may wait. */
export interface ApiRequestInit extends RequestInit, LimitOptions {}

/**
 * An API, and whose tokens its requests carry: from `server.api` or `source.api`. All who call it share what
 * is known of its limits.
 */
export class Api {
  private constructor()
  /**
   * `fetch` with the token of the route's owner attached, to allowed origins only. A 401 about the token is
   * answered once with a new one, and a pause is kept, if the body can be sent again. Redirects are followed
   * within the origin as `fetch` follows them, with the token of the route they lead to; one to another origin is
   * handed back. `redirect: 'manual'` hands every one back, `'error'` rejects.
   */
  fetch(input: string | URL | Request, init?: ApiRequestInit): Promise<Response>
  /** Whose token a request to this URL carries; throws where it would be refused. */
  owner(url: string | URL): Owner
}

/**
 * One grant, kept fresh: any number of callers with a stale token make one request, and with a store
 * so do all workers together. A token near its end is handed out while the next is fetched beside.
 */
export class GrantSource implements TokenSource {
  private constructor()
  /** The name of the record in a store. */
  readonly key: string
  /**
   * A token that is fresh now. A caller that leaves, by its `signal` or with `Lost` `lost.timeout` after its
   * `timeoutMs`, does not stop the request others wait for, and what that brings is kept.
   */
  token(options?: CallOptions): Promise<Tokens>
  /** A token to take the place of one that was refused; without a request if that has happened already. */
  renew(refused: Tokens, options?: CallOptions): Promise<Tokens>
  /** Forgets exactly this token. */
  invalidate(refused: Tokens): void
  /** Takes the tokens of a new login in place of whatever was there, and stores them. */
  logIn(tokens: Tokens): Promise<void>
  /**
   * Shuts this source down gracefully before the process exits: no new renewal begins, one that was sent is
   * finished, and what it has brought is stored. A token at hand is handed out until it expires. Rejects with
   * `Lost` if that takes longer than 10 000 ms, or what is said here.
   */
  drain(options?: CallOptions): Promise<void>
  /**
   * {@link GrantSource.drain}, as `await using` does it at the end of its block. A source that `Sessions.get` gave
   * belongs to the sessions: it is only let go of, and its grant is kept fresh for the others.
   */
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
  /** {@link Api.fetch} of the API that this source makes by itself, with one token for all routes. */
  fetch(input: string | URL | Request, init?: ApiRequestInit): Promise<Response>
  /** An API with this source for all routes, and limits of its own. */
  api(options?: ApiOptions): Api
}

/** Where a manually created token is. Everything but a literal string is read again each time. */
export type FixedTokenPlace =
  | string
  /** In the environment variable of this name, of the process. */
  | { env: string }
  /** In this file, of at most 64 KiB; surrounding white space is ignored. */
  | { file: string | URL }
  /** Wherever this looks. What it throws is what callers get. */
  | { callback: () => MaybePromise<string> }

export interface FixedTokenOptions {
  /** Where the token may be sent: any URL of each origin, or the server whose API it is for. */
  origins?: Iterable<string | URL> | Server | undefined
  /** When it is known to end: afterwards callers get `grant.expired`, and nothing is sent. */
  expiresAt?: Date | undefined
  /** What `origins` may be, where they are URLs. */
  transport?: Transport | undefined
  /** Carries the requests instead of `globalThis.fetch`. */
  fetch?: Fetch | undefined
  /** Carries the requests. */
  network?: Network | undefined
}

/**
 * One token that no grant brought. It is never renewed: a 401 about it rejects the request with `Denied`
 * `grant.revoked` and the advice `reauthorize`, that is to make another one; unless another token stands
 * there by then, which is tried once.
 */
export class FixedToken implements TokenSource {
  private constructor()
  /** The token that is there now; `token.unreadable` where there is none, `grant.expired` after its end. */
  token(options?: CallOptions): Promise<Tokens>
  /** The token that has replaced the refused one by now; otherwise `grant.revoked`. */
  renew(refused: Tokens, options?: CallOptions): Promise<Tokens>
  /** Forgets nothing: what stands there is asked about again. */
  invalidate(refused: Tokens): void
  /** {@link Api.fetch} of the API at its origins. */
  fetch(input: string | URL | Request, init?: ApiRequestInit): Promise<Response>
  /** An API with this token for all routes, and limits of its own. */
  api(options?: ApiOptions): Api
}

/** A source of one token that was made by hand, or is kept fresh elsewhere. */
export function fixedToken(token: FixedTokenPlace, options?: FixedTokenOptions): FixedToken
