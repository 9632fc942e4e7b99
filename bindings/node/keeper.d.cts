import type {
  Exchange, MomentOptions, OAuthError, RunOptions, SourceOptions, TokenRequest, Tokens,
} from './index.cjs'
import type { Store, StoredRecord } from './stores.cjs'

/** Which grant a keeper keeps, and how: {@link SourceOptions} without what a source does by itself. */
export interface KeeperOptions
  extends MomentOptions, TokenRequest, Pick<SourceOptions, 'subject' | 'reuse' | 'leaseMs' | 'keepAliveMs' | 'noticeMs'> {
  /** `refresh_token`: tokens of a person. `client_credentials`: the client's own, for `scope`. */
  grantType?: 'refresh_token' | 'client_credentials' | undefined
  /** `false`: only this keeper has the grant, and it needs no store. */
  shared?: boolean | undefined
  /**
   * How long a token request of yours can take at most, from when it is begun until its reply is read: 30 000 ms.
   * Make sure that none takes longer: once that time and a lease have passed, another worker may send the refresh
   * token again.
   */
  longestRequestMs?: number | undefined
}

/** What a caller is to do: take the tokens, renew, or wait for the one who renews. */
export type Decision =
  | { readonly kind: 'use_token' | 'use_and_renew'; readonly tokens: Tokens }
  | { readonly kind: 'renew' | 'wait'; readonly tokens: undefined }

/** Read the record; then `loaded`, or `failed`. */
export interface LoadTask {
  readonly kind: 'load'
}
/** Take the lease, or for 0 ms give it back; then `leased`, or `failed`. */
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
  /** When it wants to be renewed, for a store that can find records by that. */
  readonly due: Date | undefined
  /** When nobody needs it any more, for a store that lets records end. */
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
/** The end, for everyone who waited. An error is thrown by the method that brought it. */
export interface OverTask {
  readonly kind: 'over'
  readonly tokens: Tokens
}
export type Task = LoadTask | LeaseTask | SaveTask | RunTask | WaitTask | OverTask

/**
 * One grant, kept fresh by a driver of your own: {@link keep}, or a loop like it. It opens no socket
 * and asks no store. After a turn that says `renew` or `use_and_renew`, begin once and answer each
 * task, until the task is `over` or a method throws; or `abandon`.
 */
export class Keeper {
  private constructor()
  /** The name of the record in a store. */
  readonly key: string
  /** The newest tokens there are, good or not. */
  readonly tokens: Tokens | undefined
  /** Whether the store has the newest tokens. */
  readonly isStored: boolean
  /** Whether the record is looked at to put a new login in its place: then one that cannot be opened may go. */
  readonly isSavingLogin: boolean
  /** `suspect`: the server refuses the refresh token without saying that the grant has ended. */
  readonly standing: 'good' | 'suspect' | 'ended'
  /** Why the last renewal failed, if it did. Callers do not hear of it while their token lives. */
  readonly lastError: OAuthError | undefined
  /** The lease to extend, every so many milliseconds, while an exchange runs; nothing if none is held. */
  readonly extension: { holder: string; ms: number; every: number } | undefined
  /** In how many milliseconds to try again to store what is not stored yet; nothing if there is nothing. */
  readonly retryAfter: number | undefined
  /**
   * In how many milliseconds {@link Keeper.upkeep} has something to say; nothing if it never will. Ask again after each
   * renewal, and after each upkeep.
   */
  readonly upkeepAfter: number | undefined
  /**
   * What is to be done for the grant now though nobody asks: `renew`, then `begin`; or when the person's authorization
   * ends, told once.
   */
  upkeep(): 'renew' | Date | undefined
  /** Whether there is something to store: then `begin`. */
  saveAgain(): boolean
  /** Renews nothing from here on. */
  drain(): void
  /** One caller asks for a token, knowing perhaps of one that a resource server refused. */
  ask(refused?: Tokens): Decision
  /** Forgets exactly this token. */
  refuse(tokens: Tokens): void
  /** Takes the tokens of a new login; the next renewal stores them. */
  replace(tokens: Tokens): void
  /** Takes over a record that the store told of by itself. */
  learn(entry: StoredRecord): void
  begin(): Task
  loaded(entry: StoredRecord | undefined | null): Task
  /** For how many milliseconds another holds it; nothing, or 0, if it was won or given back. */
  leased(ms?: number | undefined | null | void): Task
  /** The new version, or nothing if the record was at another. */
  saved(version?: number | undefined | null): Task
  completed(): Task
  elapsed(): Task
  /** The store gave no answer, or threw. What a built-in store threw keeps its code. */
  failed(reason: unknown): Task
  /** Gives up the renewal under way, or the one a turn asked for. */
  abandon(): void
}

export interface KeepOptions extends RunOptions {
  /** Needed unless the keeper is not shared. */
  store?: Store | undefined
  /** Tokens that a resource server refused. */
  refused?: Tokens | undefined
  /** Called with new tokens, and waited for, before any caller sees them. */
  onTokens?: ((tokens: Tokens) => unknown) | undefined
}
/**
 * Tokens that are fresh, over a store and a `fetch` of your own. One caller renews, all others wait for
 * that; whoever leaves does not stop it.
 */
export function keep(keeper: Keeper, options?: KeepOptions): Promise<Tokens>

/** What a token is for. */
export interface RedeemOptions {
  /**
   * Some of the resources that were asked for (RFC 8707 section 2.2); by default all. `resource.exceeds_grant` for
   * another one, and the flow waits on.
   */
  resource?: Iterable<string> | undefined
  /**
   * In which context the callback arrived, such as a tool and a tenant, as you know it: never from the callback itself.
   * `callback.context` if the flow was begun in another one, or in none.
   */
  context?: string | undefined
  /** In whose session the callback arrived, likewise. `callback.user` if another person began the flow. */
  user?: string | undefined
}
