// What a client is registered with, and what an API may require of the user.

import type { DpopKey } from './dpop.cjs'
import type { Enc, JweAlg, MacAlg, SigningAlg } from './client-auth.cjs'

/**
 * How a server signs and encrypts its responses to the client, and the client its requests: by the names in its
 * metadata.
 */
export interface RegistrationOptions {
  /**
   * The only algorithm of ID tokens, as registered; an HMAC is accepted only this way. Otherwise those that the
   * metadata names.
   */
  idTokenSignedResponseAlg?: SigningAlg | MacAlg | undefined
  /** Audiences that ID tokens may name besides the client (OpenID Connect Core section 3.1.3.7). */
  trustedAudiences?: string[] | undefined
  /** How ID tokens are encrypted, as registered: a plain one is then refused. */
  idTokenEncryptedResponseAlg?: JweAlg | undefined
  /** How their content is encrypted: `A128CBC-HS256` by default. */
  idTokenEncryptedResponseEnc?: Enc | undefined
  /** The algorithm of UserInfo, as registered: plain JSON is then refused. */
  userinfoSignedResponseAlg?: SigningAlg | MacAlg | undefined
  /** How UserInfo is encrypted, as registered: what is not encrypted is then refused. */
  userinfoEncryptedResponseAlg?: JweAlg | undefined
  /** How its content is encrypted: `A128CBC-HS256` by default. */
  userinfoEncryptedResponseEnc?: Enc | undefined
  /**
   * The decryption keys, the newest first: private keys in PEM or as JWKs, shared ones as JWKs. If the algorithm needs a
   * shared key and none is given, it is derived from the client secret (OpenID Connect Core section 10.2).
   */
  decryptionKeys?: string[] | undefined
  /**
   * How access tokens are encrypted for the APIs that `verifyAccessToken` is called for, as agreed with the server (RFC
   * 9068 section 4): a plain one is then refused. No key is derived from the client secret.
   */
  accessTokenEncryptionAlg?: JweAlg | undefined
  /** How their content is encrypted: `A128CBC-HS256` by default. */
  accessTokenEncryptionEnc?: Enc | undefined
  /** Signed authorization responses of other algorithms are refused (JARM). */
  authorizationSignedResponseAlg?: SigningAlg | MacAlg | undefined
  /** How signed authorization responses are encrypted, as registered: a plain one is then refused. */
  authorizationEncryptedResponseAlg?: JweAlg | undefined
  /** How their content is encrypted: `A128CBC-HS256` by default. */
  authorizationEncryptedResponseEnc?: Enc | undefined
  /** Signs every authorization request (RFC 9101). */
  requestObjectSigningAlg?: SigningAlg | undefined
  /** With this key, in PEM or as a JWK; by default with the one of `privateKeyJwt`. */
  requestObjectSigningKey?: string | undefined
  /** Encrypts every authorization request after signing it, to a key of the server. */
  requestObjectEncryptionAlg?: Exclude<JweAlg, `A${string}` | 'dir'> | undefined
  /** How its content is encrypted: `A128CBC-HS256` by default. */
  requestObjectEncryptionEnc?: Enc | undefined
  /**
   * Whether tokens are bound to the certificate of the `network` (RFC 8705). They are stored with its thumbprint; one for another
   * certificate is renewed and not sent.
   */
  tlsClientCertificateBoundAccessTokens?: boolean | undefined
  /** Tokens are bound to this key, and no others are accepted (RFC 9449). */
  dpopKey?: DpopKey | undefined
  /** Rules that the client keeps to: what they forbid is refused with `profile.forbidden`, which names the clause. */
  profile?: 'oauth21' | 'strict' | 'fapi2_security' | 'fapi2_message_signing' | undefined
}

/**
 * What an API requires of the user (RFC 9470): pass it to `beginAuthorization` as `stepUp`, with the tokens it refused.
 */
export interface StepUp {
  /** How the user is to authenticate, best first. */
  readonly acr_values?: readonly string[]
  /** The user must have authenticated within this many seconds. */
  readonly max_age?: number
  /** The scope that the request requires. */
  readonly scope?: string
  /** The `claims` parameter of the next authorization, as JSON. */
  readonly claims?: string
}

/**
 * What the reply of an API requires of the user: another login, or more scope; `undefined` if no other authorization
 * would help. An API that you do not trust can send people through logins: request only those that you know.
 */
export function stepUp(response: Pick<Response, 'status' | 'headers'>): StepUp | undefined
