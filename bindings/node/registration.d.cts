// What a client is registered with, and what an API may want of the person.

import type { DpopKey } from './dpop.cjs'
import type { Enc, JweAlg, MacAlg, SigningAlg } from './client-auth.cjs'

/** How a server signs and encrypts what it tells the client, and the client what it asks: by the names of its metadata. */
export interface RegistrationOptions {
  /**
   * The only algorithm of ID tokens, as registered; an HMAC is accepted no other way. Otherwise those that
   * the metadata name.
   */
  idTokenSignedResponseAlg?: SigningAlg | MacAlg | undefined
  /** Audiences that ID tokens may name beside the client (OpenID Connect Core section 3.1.3.7). */
  trustedAudiences?: string[] | undefined
  /** How ID tokens are encrypted, as registered: a plain one is then refused. */
  idTokenEncryptedResponseAlg?: JweAlg | undefined
  /** How their content is encrypted: `A128CBC-HS256` unless said otherwise. */
  idTokenEncryptedResponseEnc?: Enc | undefined
  /** The algorithm of UserInfo, as registered: plain JSON is then refused. */
  userinfoSignedResponseAlg?: SigningAlg | MacAlg | undefined
  /** How UserInfo is encrypted, as registered: what is not encrypted is then refused. */
  userinfoEncryptedResponseAlg?: JweAlg | undefined
  /** How its content is encrypted: `A128CBC-HS256` unless said otherwise. */
  userinfoEncryptedResponseEnc?: Enc | undefined
  /**
   * What decrypts, the newest first: private keys in PEM or as JWKs, shared ones as JWKs. Where the algorithm needs
   * a shared key and none is here, it is made of the client secret (OpenID Connect Core section 10.2).
   */
  decryptionKeys?: string[] | undefined
  /** Signed authorization responses of other algorithms are refused (JARM). */
  authorizationSignedResponseAlg?: SigningAlg | MacAlg | undefined
  /** How signed authorization responses are encrypted, as registered: a plain one is then refused. */
  authorizationEncryptedResponseAlg?: JweAlg | undefined
  /** How their content is encrypted: `A128CBC-HS256` unless said otherwise. */
  authorizationEncryptedResponseEnc?: Enc | undefined
  /** Signs every authorization request (RFC 9101). */
  requestObjectSigningAlg?: SigningAlg | undefined
  /** With this key, in PEM or as a JWK; or else with the one of `privateKeyJwt`. */
  requestObjectSigningKey?: string | undefined
  /** Encrypts every authorization request after that, to a key of the server's. */
  requestObjectEncryptionAlg?: Exclude<JweAlg, `A${string}` | 'dir'> | undefined
  /** How its content is encrypted: `A128CBC-HS256` unless said otherwise. */
  requestObjectEncryptionEnc?: Enc | undefined
  /** Whether tokens are bound to the certificate of the `network` (RFC 8705). */
  tlsClientCertificateBoundAccessTokens?: boolean | undefined
  /** Tokens are bound to this key, and no others are taken (RFC 9449). */
  dpopKey?: DpopKey | undefined
  /** Rules that the client keeps to: what they forbid is refused with `profile.forbidden`, which names the clause. */
  profile?: 'oauth21' | 'strict' | 'fapi2_security' | 'fapi2_message_signing' | undefined
}

/** What an API wants of the person (RFC 9470): give it to `beginAuthorization` as `stepUp`, with the tokens it refused. */
export interface StepUp {
  /** How the person is to authenticate, best first. */
  readonly acr_values?: readonly string[]
  /** The person has to have authenticated within these last seconds. */
  readonly max_age?: number
  /** What the request needs. */
  readonly scope?: string
  /** The `claims` parameter of the next authorization, as JSON. */
  readonly claims?: string
}

/**
 * What the reply of an API wants of the person: another login, or a wider scope; `undefined` if no other authorization
 * would help. An API that you do not trust can send people through logins: ask for those alone that you know.
 */
export function stepUp(response: Pick<Response, 'status' | 'headers'>): StepUp | undefined
