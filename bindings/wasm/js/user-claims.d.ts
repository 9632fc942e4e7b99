// The standard claims about a user (OpenID Connect Core section 5.1).

/** A postal address (section 5.1.1). */
export interface Address {
  /** The full address, for a label; its lines are separated by newlines. */
  readonly formatted?: string | undefined
  /** Street, number, post office box; its lines are separated by newlines. */
  readonly street_address?: string | undefined
  /** The city. */
  readonly locality?: string | undefined
  /** The state, province or prefecture. */
  readonly region?: string | undefined
  readonly postal_code?: string | undefined
  readonly country?: string | undefined
}

/**
 * Claims as the server sends them, with the types that the standard gives them. The server might not keep to those:
 * compare with `=== true`, because the text `"false"` of some servers must not count as true.
 */
export interface UserClaims {
  /** The identifier of the user at this issuer. No other claim identifies a user. */
  readonly sub: string
  /** The full name, for display. */
  readonly name?: string | undefined
  readonly given_name?: string | undefined
  readonly family_name?: string | undefined
  readonly middle_name?: string | undefined
  readonly nickname?: string | undefined
  /** The user name to display; it may change, and may later belong to somebody else. */
  readonly preferred_username?: string | undefined
  /** The URL of the profile page. */
  readonly profile?: string | undefined
  /** The URL of a picture. */
  readonly picture?: string | undefined
  /** The URL of the user's own web page. */
  readonly website?: string | undefined
  /** `email_verified` states whether it is known to be the user's. */
  readonly email?: string | undefined
  /** Some servers send the text `"false"`, which is true to JavaScript: compare with `true`. */
  readonly email_verified?: unknown
  /** `female`, `male`, or another. */
  readonly gender?: string | undefined
  /** `YYYY-MM-DD`, `0000-MM-DD` without the year, or `YYYY` alone. */
  readonly birthdate?: string | undefined
  /** A time zone, such as `Europe/Paris`. */
  readonly zoneinfo?: string | undefined
  /** A language, such as `en-US`. */
  readonly locale?: string | undefined
  /** In E.164 format, such as `+1 (425) 555-1212`. */
  readonly phone_number?: string | undefined
  /** As `email_verified`: compare with `true`. */
  readonly phone_number_verified?: unknown
  readonly address?: Address | undefined
  /** When the claims last changed, in seconds since 1970. */
  readonly updated_at?: number | undefined
  /** Other claims, and those in certain languages (`name#ja`). */
  readonly [claim: string]: unknown
}
