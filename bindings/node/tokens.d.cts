import type { IdTokenClaims } from './js/ops.cjs'

/** A permission (RFC 9396 section 2): its type, and what the type defines. */
export interface AuthorizationDetail {
  type: string
  locations?: string[]
  actions?: string[]
  datatypes?: string[]
  privileges?: string[]
  identifier?: string
  [member: string]: unknown
}

/**
 * The tokens of one grant. `console.log` and `JSON.stringify` do not show them, and `structuredClone` and
 * `postMessage` refuse them with a `DataCloneError`: pass on what {@link Tokens.serialize} writes.
 */
export class Tokens {
  private constructor()
  /** A token without a grant, for custom sources and for tests. */
  static bearer(accessToken: string, options?: { expiresAt?: Date | undefined }): Tokens
  /** Reads what {@link Tokens.serialize} wrote. */
  static deserialize(text: string): Tokens
  readonly accessToken: string
  /** `Bearer` (RFC 6750) or `DPoP` (RFC 9449). */
  readonly tokenType: string
  readonly receivedAt: Date
  /** The lifetime in seconds, if the server named one. */
  readonly expiresIn: number | undefined
  readonly expiresAt: Date | undefined
  /** When the refresh token expires unless it is used, if the server states it. */
  readonly refreshTokenExpiresAt: Date | undefined
  /** When the user's authorization ends regardless of renewals, if the server states it. */
  readonly authorizationExpiresAt: Date | undefined
  /** The granted scope. */
  readonly scope: string[]
  readonly refreshToken: string | undefined
  /**
   * The verified claims of the ID token of `redeem` and `login` (OpenID Connect Core section 2). `undefined` without
   * the scope `openid`, and for tokens that were refreshed or read from a store. `iss` and `sub` together identify a
   * user.
   */
  readonly claims: IdTokenClaims | undefined
  /** The ID token, unverified. After verification, its claims are in `claims`. */
  readonly idToken: string | undefined
  /** Members RFC 6749 does not define. An integer beyond 2^53 - 1, which a number would round, is a string of its digits. */
  readonly extra: Record<string, unknown>
  /**
   * The permissions that were granted (RFC 9396 section 7), if the server says; it may have enriched them.
   * `token_response.malformed` if they are invalid.
   */
  readonly authorizationDetails: AuthorizationDetail[] | undefined
  /**
   * Those of the wanted permissions that were not granted, to the extent that RFC 9396 section 2.2 defines them: what a
   * type itself defines, such as an amount, your program has to compare. A login automatically compares what it
   * requested: `authorization_details_missing` is in `warnings`. `authorization_details.malformed` for invalid
   * permissions.
   */
  missingAuthorizationDetails(wanted: readonly AuthorizationDetail[]): AuthorizationDetail[]
  /** Flaws of the reply, such as `malformed_expires_in`. */
  readonly warnings: string[]
  readonly issuer: string
  readonly clientId: string
  /** Everything needed to continue after a restart: store it like any secret. */
  serialize(): string
  /** The members that may be shown. */
  toJSON(): Record<string, unknown>
}

/**
 * One login between the authorization URL and its callback, used once. It contains secrets: keep it in the session.
 * `structuredClone` and `postMessage` refuse it with a `DataCloneError`: pass on what {@link PendingAuthorization.serialize} writes.
 */
export class PendingAuthorization {
  private constructor()
  /** Reads what {@link PendingAuthorization.serialize} wrote. */
  static deserialize(text: string): PendingAuthorization
  /** The `state`, which identifies the flow if several are pending in one session. */
  readonly state: string
  readonly issuer: string
  readonly redirectUri: string
  readonly startedAt: Date
  /** Whether a callback belongs to this flow; `false` once the flow has been redeemed. */
  recognizes(callback: string | URL): boolean
  /** What to store; it contains secrets. Throws `misuse.already_finished` once the flow has been redeemed. */
  serialize(): string
  /** The members that may be shown. */
  toJSON(): Record<string, unknown>
}
