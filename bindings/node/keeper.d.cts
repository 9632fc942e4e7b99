import type {
  Exchange, MomentOptions, OAuthError, RunOptions, SignInOptions, SourceOptions, TokenRequest, Tokens,
} from './index.cjs'
import type { Store, StoredRecord } from './stores.cjs'

/** Which grant a keeper keeps, and how: {@link SourceOptions} without what a source does automatically. */
export interface KeeperOptions
  extends MomentOptions, TokenRequest, SignInOptions, Pick<SourceOptions, 'subject' | 'reuse' | 'leaseMs' | 'keepAliveMs' | 'noticeMs'> {
  /** `refresh_token`: tokens of a user. `client_credentials`: the client's own, for `scope`. */
  grantType?: 'refresh_token' | 'client_credentials' | undefined
  /** `false`: only this keeper has the grant, and it needs no store. */
  shared?: boolean | undefined
  /**
   * The longest that a token request of yours can take, from its start until the reply has been read: by default 30 000 ms.
   * Make sure that none takes longer: once that time and a lease have passed, another worker may send the refresh
   * token again.
   */
  longestRequestMs?: number | undefined
}

/** What a caller is to do: use the tokens, renew, or wait for another that renews. */
export type Decision =
  | { readonly kind: 'use_token' | 'use_and_renew'; readonly tokens: Tokens }
  | { readonly kind: 'renew' | 'wait'; readonly tokens: undefined }

/** Read the record; then `loaded`, or `failed`. */
export interface LoadTask {
  readonly kind: 'load'
}
/** Take the lease, or for 0 ms release it; then `leased`, or `failed`. */
export interface LeaseTask {
  readonly kind: 'lease'
  readonly holder: string
  readonly ms: number
}
/** Save the record, a secret, if it is at this version, 0 for none; then `saved`, or `failed`. */
export interface SaveTask {
  readonly kind: 'save'
  readonly record: string
  readonly version: number
  /** When it is due for renewal, for a store that can find records by that. */
  readonly due: Date | undefined
  /** When the record is no longer needed, for a store that supports expiry. */
  readonly until: Date | undefined
}
/** Run this exchange to its end; then `completed`. */
export interface RunTask {
  readonly kind: 'run'
  readonly exchange: Exchange<Tokens>
}
/** Wait this long; then `elapsed`. */
export interface WaitTask {
  readonly kind: 'wait'
  readonly ms: number
}
/** Done: the tokens for every caller that waited. An error is thrown by the method that caused it. */
export interface OverTask {
  readonly kind: 'over'
  readonly tokens: Tokens
}
export type Task = LoadTask | LeaseTask | SaveTask | RunTask | WaitTask | OverTask

/**
 * One grant, kept fresh by your own driver: {@link keep}, or a loop like it. It opens no socket and calls
 * no store. After a decision that says `renew` or `use_and_renew`, begin once and answer each
 * task, until the task is `over` or a method throws; or `abandon`.
 */
export class Keeper {
  private constructor()
  /** The name of the record in a store. */
  readonly key: string
  /** The newest tokens, valid or not. */
  readonly tokens: Tokens | undefined
  /** Whether the store has the newest tokens. */
  readonly isStored: boolean
  /**
   * Whether the record is read in order to replace it with a new login: then one that cannot be opened may be
   * overwritten.
   */
  readonly isSavingLogin: boolean
  /** `suspect`: the server refuses the refresh token without saying that the grant has ended. */
  readonly standing: 'good' | 'suspect' | 'ended'
  /** Why the last renewal failed, if it did. Callers do not see it while their token is valid. */
  readonly lastError: OAuthError | undefined
  /** The lease to extend while an exchange runs, and at which interval in milliseconds; nothing if none is held. */
  readonly leaseExtension: { holder: string; ms: number; every: number } | undefined
  /** In how many milliseconds to retry storing what is not stored yet; nothing if everything is stored. */
  readonly retryAfter: number | undefined
  /**
   * In how many milliseconds {@link Keeper.upkeep} is due; nothing if it never is. Ask again after each
   * renewal, and after each upkeep.
   */
  readonly upkeepAfter: number | undefined
  /**
   * What is to be done for the grant now even without a caller: `renew`, then `begin`; or when the user's authorization
   * ends, reported once.
   */
  upkeep(): 'renew' | Date | undefined
  /** Whether there is something to store: then `begin`. */
  saveAgain(): boolean
  /** Renews nothing from here on. */
  drain(): void
  /** A caller requests a token, and may name one that a resource server refused. */
  ask(refused?: Tokens): Decision
  /** Forgets exactly this token. */
  refuse(tokens: Tokens): void
  /** Adopts the tokens of a new login; the next renewal stores them. */
  replace(tokens: Tokens): void
  /** Adopts a record that the store reported on its own. */
  learn(entry: StoredRecord): void
  begin(): Task
  loaded(entry: StoredRecord | undefined | null): Task
  /** For how many milliseconds another worker still holds the lease; nothing, or 0, if it was taken or released. */
  leased(ms?: number | undefined | null | void): Task
  /** The new version, or nothing if the record had another version. */
  saved(version?: number | undefined | null): Task
  completed(): Task
  elapsed(): Task
  /** The store gave no answer, or threw. An error of a built-in store keeps its code. */
  failed(reason: unknown): Task
  /** Gives up the renewal under way, or the one that a decision requested. */
  abandon(): void
}

export interface KeepOptions extends RunOptions {
  /** Needed unless the keeper is not shared. */
  store?: Store | undefined
  /** Tokens that a resource server refused. */
  refused?: Tokens | undefined
  /** Called with new tokens, and awaited, before any caller gets them. */
  onTokens?: ((tokens: Tokens) => unknown) | undefined
}
/**
 * Returns fresh tokens, using your own store and `fetch`. One caller renews, all others wait for that; a
 * caller that leaves does not stop it.
 */
export function keep(keeper: Keeper, options?: KeepOptions): Promise<Tokens>

/** What a token is for. */
export interface RedeemOptions {
  /**
   * Some of the requested resources (RFC 8707 section 2.2); by default all. `resource.exceeds_grant` for another one,
   * and the flow continues to wait.
   */
  resource?: Iterable<string> | undefined
  /**
   * In which context the callback arrived, such as a tool and a tenant, as you know it: never from the callback itself.
   * `callback.context` if the flow was begun in another one, or in none.
   */
  context?: string | undefined
  /**
   * The user in whose session the callback arrived, likewise from your own knowledge. `callback.user` if another user
   * began the flow.
   */
  user?: string | undefined
}
