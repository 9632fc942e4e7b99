// Verifies access tokens in an API.
import type { CallOptions, Client, ClientOptions, Exchange, MomentOptions, Server } from './index.cjs'
import type { VerifiedAccessToken, VerifyAccessTokenArguments } from './js/ops.cjs'

/** What a token must have, and what its request has proved. */
export type AccessTokenNeeds = Pick<VerifyAccessTokenArguments, 'scope' | 'acrValues' | 'maxAge' | 'jkt' | 'x5tS256'>

/** What an API requires of all tokens. */
export interface AccessTokenVerifierOptions
  extends Omit<VerifyAccessTokenArguments, 'token' | 'jkt' | 'x5tS256'>,
    Pick<
      ClientOptions,
      | 'timeoutMs' | 'network' | 'fetch' | 'send'
      | 'accessTokenEncryptionAlg' | 'accessTokenEncryptionEnc' | 'decryptionKeys'
    > {}

/** What an API requires of all tokens, and how answers of the server are cached. */
export interface IntrospectingVerifierOptions
  extends Omit<VerifyAccessTokenArguments, 'token' | 'jkt' | 'x5tS256' | 'profile' | 'algs'> {
  /**
   * For how many seconds an answer is cached, and never beyond the token's expiry; that a token is not active, for five seconds at most.
   * A revoked token is accepted here for as long. Without it, each call makes a request.
   */
  cacheMaxAge?: number | undefined
  /** How many answers are kept at most: 1000 by default. One takes up to 256 KiB; tokens are not kept. */
  cacheEntries?: number | undefined
  /**
   * The algorithm of signed answers (RFC 9701), as registered: introspection_signed_response_alg. Plain answers are then
   * refused.
   */
  signedResponseAlg?: string | undefined
  /** The server's name for this API in the aud of a signed answer, if it is not the client id. */
  signedResponseAudience?: string | undefined
}

/**
 * Verifies the access tokens of one server for one API (RFC 9068 section 4). The server's keys are fetched as needed, and
 * kept for all calls.
 */
export class AccessTokenVerifier {
  constructor(server: Server, options: AccessTokenVerifierOptions)
  /**
   * Verifies tokens by asking the server about each (RFC 7662), as this client: opaque ones, or to learn of revocations. If
   * the server names no audience, its answer vouches for it, as section 4 requires. Results, refusals
   * and challenges are those of a verifier of JWTs; a token that is not active is `access_token.inactive`. If answers are
   * cached, only one of several concurrent calls with the same new token asks the server.
   */
  static introspecting(client: Client, options: IntrospectingVerifierOptions): AccessTokenVerifier
  readonly server: Server
  /**
   * Verifies a token that was presented as a bearer token, or with the proof whose key you name. Requirements given here
   * replace those of the API. An error has `responseStatus` and `challenge` for the response (RFC 6750 section 3).
   */
  verify(token: string, options?: AccessTokenNeeds & CallOptions): Promise<VerifiedAccessToken>
  /** The same for your own driver. */
  verifyExchange(token: string, options?: AccessTokenNeeds & MomentOptions): Exchange<VerifiedAccessToken>
  /** The server's public keys that have been fetched, as text to store: see `Client.exportKeys`. */
  exportKeys(): string | undefined
  /** Adopts the keys that `exportKeys` wrote, unless newer ones are known. */
  importKeys(text: string): void
}
