// Many grants of one client, and the end of a process.
import type { GrantSource } from './api.cjs'
import type { CallOptions, Client, ErrorCode, OAuthError, TokenRequest, Tokens } from './index.cjs'
import type { Store } from './stores.cjs'

export interface SessionsOptions {
  /** As {@link SourceOptions.reuse}. */
  reuse?: 'unknown' | 'revokes' | 'tolerated' | undefined
  /** As {@link SourceOptions.leaseMs}. */
  leaseMs?: number | undefined
  /** As {@link SourceOptions.keepAliveMs}; those that are not in memory are kept alive by {@link Sessions.renewIdle}. */
  keepAliveMs?: number | undefined
  /** As {@link SourceOptions.noticeMs}. */
  noticeMs?: number | undefined
  /** How many are held in memory that nobody uses: 10 000. */
  capacity?: number | undefined
  /** How many renewals may begin per second, whoever asks for them; 0 is no limit. */
  perSecond?: number | undefined
  /**
   * How many renewals may be under way at once at the client's issuer, from the lease to the stored tokens: 0 is no
   * limit. One that waits for another worker is not counted.
   */
  atOnce?: number | undefined
  /** Called with new tokens, and waited for, before any caller sees them. */
  onRenewed?: ((subject: string | undefined, tokens: Tokens) => unknown) | undefined
  /** Called when a grant has ended, and its person has to log in again. */
  onEnded?: ((subject: string | undefined, error: OAuthError) => void) | undefined
  /** Called once when a person's authorization is about to end, which only the person can extend. */
  onAuthorizationEnds?: ((subject: string | undefined, end: Date) => void) | undefined
}
/** What a grant differs by from others of the same person. */
export interface GrantOptions extends TokenRequest {}
/** What may be shown of a stored grant. */
export interface Grant {
  /** Nothing for the client's own. */
  subject?: string | undefined
  /** What was asked for, names separated by spaces. */
  scope: string
  resource: string[]
  audience: string[]
  /** What was granted. */
  granted?: string | undefined
  /** When the access token ends. */
  expiresAt: Date | undefined
  hasRefreshToken: boolean
  /** When the refresh token ends if nobody uses it before, as far as the server says so. */
  refreshTokenUseBy: Date | undefined
  /** When the person's authorization ends, whatever is renewed before, likewise. */
  authorizationUntil: Date | undefined
  /** Why it is over, if it is. */
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
 * What has happened to grants. `failed` is a renewal, `ended` a grant; `suspect` is one whose refresh token the
 * server refuses without saying that it is over; `unsaved` tokens could not be stored yet; `authorization_ends` is told
 * once, before a person's authorization ends.
 */
export type GrantEvent = 'renewed' | 'waits' | 'failed' | 'suspect' | 'ended' | 'unsaved' | 'stored_late'
  | 'authorization_ends' | 'lease_lost'
/** What is published to the channel `oauth-core:grant` of `node:diagnostics_channel`. It holds no secret. */
export interface GrantMessage {
  /** The name of the record. */
  grant: string
  what: GrantEvent
  error?: OAuthError
  /** For how long another worker is waited for at first. */
  ms?: number
  /** When an authorization ends. */
  at?: Date
}

/**
 * The grants of a client, as many as its store has: one for each person, and the client's own. Each costs
 * memory while somebody uses it; beyond the capacity, those that nobody uses are dropped, and read from the
 * store when they are asked for again.
 */
export class Sessions {
  constructor(client: Client, store: Store, options?: SessionsOptions)
  /** The source of one grant: this person's, or the client's own. All who get the same share its renewals. */
  get(subject?: string, options?: GrantOptions): GrantSource
  /** Takes the tokens of a new login, and stores them in the place of what is there. */
  logIn(subject: string, tokens: Tokens, options?: GrantOptions): Promise<void>
  /**
   * Ends a grant: waits for a renewal under way, asks the server to forget the tokens (RFC 7009), and removes
   * the record, which is done though the server could not be asked and this rejects.
   */
  logOut(subject: string | undefined, options?: GrantOptions): Promise<void>
  /** A page of what the store has of this client, in no order. `misuse.not_supported` if it has no `scan`. */
  list(cursor?: string): Promise<GrantPage>
  /**
   * Renews what nobody has used for so long, for many a refresh token dies unused; with `keepAliveMs` also what has a
   * refresh token that ends unused soon, as far as the server says so. One pass; call it now and then, from any number of workers. `misuse.not_supported` if the store has no `due`.
   */
  renewIdle(unusedMs: number): Promise<{ renewed: number; failed: { key: string; code: ErrorCode }[] }>
  /** Ends all of them in good order, as {@link GrantSource.drain}; 10 000 ms unless something else is said. */
  drain(options?: CallOptions): Promise<void>
  /** {@link Sessions.drain}, as `await using` does it at the end of its block. */
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
  /** How often what has happened, from zero on. */
  readonly counters: Record<GrantEvent, number>
  /** How many are held in memory. */
  readonly inMemory: number
}

/**
 * Ends all grants of this process in good order, before it ends: nothing is renewed from here on, what was
 * sent is finished, and what it has brought is stored. Rejects with `Lost` if that takes longer than 10 000 ms.
 */
export function drain(options?: CallOptions): Promise<void>
