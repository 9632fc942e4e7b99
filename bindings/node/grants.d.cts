// The grants of one client for many people, and the shutdown of a process.
import type { GrantSource } from './api.cjs'
import type { CallOptions, Client, ErrorCode, OAuthError, TokenRequest, Tokens } from './index.cjs'
import type { StepUp } from './registration.cjs'
import type { Store } from './stores.cjs'

export interface GrantsOptions {
  /** As {@link SourceOptions.reuse}. */
  reuse?: 'unknown' | 'revokes' | 'tolerated' | undefined
  /** As {@link SourceOptions.leaseMs}. */
  leaseMs?: number | undefined
  /** As {@link SourceOptions.keepAliveMs}; those that are not in memory are kept alive by {@link Grants.renewIdle}. */
  keepAliveMs?: number | undefined
  /** As {@link SourceOptions.noticeMs}. */
  noticeMs?: number | undefined
  /** How many unused grants are held in memory: by default 10 000. */
  capacity?: number | undefined
  /** How many renewals may begin per second, for all callers together; 0 means no limit. */
  perSecond?: number | undefined
  /**
   * How many renewals may be under way at once at the client's issuer, from the lease to the stored tokens: 0 means no
   * limit. One that waits for another worker is not counted.
   */
  atOnce?: number | undefined
  /** Called with new tokens, and awaited, before any caller gets them. */
  onRenewed?: ((subject: string | undefined, tokens: Tokens) => unknown) | undefined
  /** Called when a grant has ended, and its user has to log in again. */
  onEnded?: ((subject: string | undefined, error: OAuthError) => void) | undefined
  /** Called once when a user's authorization is about to end, which only the user can extend. */
  onAuthorizationEnds?: ((subject: string | undefined, end: Date) => void) | undefined
}
/** What distinguishes a grant from others of the same user. */
export interface GrantOptions extends TokenRequest {
  /** What an API required of the user (RFC 9470), as `stepUp` returns it: the tokens of that login. */
  stepUp?: StepUp | undefined
}
/** What may be shown of a stored grant. */
export interface Grant {
  /** Nothing for the client's own. */
  subject?: string | undefined
  /** The requested scope, names separated by spaces. */
  scope: string
  resource: string[]
  audience: string[]
  /** What an API required of the user at the login, if it was a step-up. */
  stepUp?: StepUp | undefined
  /** The granted scope. */
  granted?: string | undefined
  /** When the access token expires. */
  expiresAt: Date | undefined
  hasRefreshToken: boolean
  /** When the refresh token expires unless it is used, if the server states it. */
  refreshTokenExpiresAt: Date | undefined
  /** When the user's authorization ends regardless of renewals, if the server states it. */
  authorizationExpiresAt: Date | undefined
  /** Why it has ended, if it has. */
  ended?: ErrorCode | undefined
}
export interface GrantPage {
  grants: Grant[]
  /** Records that cannot be read. */
  unreadable: { key: string; code: ErrorCode }[]
  /** Nothing after the last page. */
  next: string | undefined
}
/**
 * What has happened to grants. `failed` is a renewal, `ended` a grant; `suspect` is one whose refresh token the server
 * refuses without saying that the grant has ended; `unsaved` tokens could not be stored yet; `authorization_ends` is
 * reported once, before a user's authorization ends.
 */
export type GrantEvent = 'renewed' | 'waits' | 'failed' | 'suspect' | 'ended' | 'unsaved' | 'stored_late'
  | 'authorization_ends' | 'lease_lost'
/** What is published to the channel `oauth-core:grant` of `node:diagnostics_channel`. It contains no secret. */
export interface GrantMessage {
  /** The name of the record. */
  grant: string
  what: GrantEvent
  error?: OAuthError
  /** How long the first wait for another worker lasts. */
  ms?: number
  /** When an authorization ends. */
  at?: Date
}

/**
 * The grants of a client, as many as its store has: one for each user, and the client's own. Each takes memory while it
 * is used; beyond the capacity, unused ones are dropped, and read from the store when they are requested again.
 */
export class Grants {
  constructor(client: Client, store: Store, options?: GrantsOptions)
  /**
   * The source of one grant: this user's, or the client's own. All callers with the same source share its renewals.
   * With a `stepUp` it is that of the login that the API required; a scope in it makes no difference.
   */
  get(subject?: string, options?: GrantOptions): GrantSource
  /**
   * Adopts the tokens of a new login, and stores them in place of any others. Those of a step-up are kept beside the
   * ordinary ones, for {@link Grants.get} with the same `stepUp`: up to eight for a user, the oldest of which ends.
   * Rejects with the error of its revocation, though the login is stored; with `grant.no_refresh_token` if the user
   * logs out meanwhile.
   */
  logIn(subject: string, tokens: Tokens, options?: TokenRequest): Promise<void>
  /**
   * Ends a grant: waits for a renewal under way, asks the server to revoke the tokens (RFC 7009), and removes the
   * record, even if the server could not be asked and this rejects. With a user's ordinary grant, those of step-ups end
   * too; one of a step-up ends alone. In `onRenewed` of a grant that this ends, it behaves as {@link GrantSource.logOut} in
   * `onTokens`.
   */
  logOut(subject: string | undefined, options?: GrantOptions): Promise<void>
  /** A page of this client's grants in the store, in no particular order. `misuse.not_supported` if it has no `scan`. */
  list(cursor?: string): Promise<GrantPage>
  /**
   * Renews grants that have not been used for this long, because many refresh tokens expire unused; with `keepAliveMs`
   * also those whose unused refresh token expires soon, if the server states it. One pass; call it regularly, from any
   * number of workers. `misuse.not_supported` if the store has no `due`.
   */
  renewIdle(unusedMs: number): Promise<{ renewed: number; failed: { key: string; code: ErrorCode }[] }>
  /** Shuts all of them down gracefully, like {@link GrantSource.drain}; 10 000 ms by default. */
  drain(options?: CallOptions): Promise<void>
  /** The same as {@link Grants.drain}; `await using` calls it at the end of its block. */
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
  /** How often each event has happened, from zero. */
  readonly counters: Record<GrantEvent, number>
  /** How many are held in memory. */
  readonly inMemory: number
}

/**
 * Shuts down all grants of this process gracefully, before it exits: no new renewal begins, those that were sent
 * are finished, and their results are stored. Rejects with `LostError` if that takes longer than 10 000 ms.
 */
export function drain(options?: CallOptions): Promise<void>
