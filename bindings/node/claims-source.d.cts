// The claims about a user by type, and those that other parties vouch for.
import type { UserClaims } from './index.cjs'

/** A source of claims that another party vouches for (OpenID Connect Core section 5.6.2). It shows no secret. */
export interface ClaimsSource {
  /** The source's name in the token. */
  readonly name: string
  /** The names of the claims that the source has. */
  readonly claims: readonly string[]
  /** The JWT with the claims, if they are aggregated: the other party has signed it, and it is not verified. */
  readonly jwt: string | undefined
  /**
   * The URL of the endpoint that has the claims, as a JWT too, if they are distributed. The token names this URL: fetch it
   * only if you know the party.
   */
  readonly endpoint: string | undefined
  /** The token to send to the endpoint; without one, it needs credentials of your own. */
  readonly accessToken: string | undefined
}

/**
 * The sources of the claims that other parties vouch for: aggregated and distributed claims. `claims` are those of a
 * verified ID token or of UserInfo. Nothing is fetched, and nothing of the other parties verified. Throws
 * `jwt.malformed_claim` if `_claim_names` and `_claim_sources` are not what the standard describes, or do not match.
 */
export function claimsSources(claims: Readonly<Record<string, unknown>>): ClaimsSource[]

/**
 * The standard claims among these, with their types: those of a verified ID token, such as `claims` of {@link Tokens}, or of
 * UserInfo. A claim of another type than the standard defines is absent, and unchanged in `claims`. Throws
 * `jwt.missing_claim` without a `sub`.
 */
export function userClaims(claims: Readonly<Record<string, unknown>>): UserClaims
