// Verifies access tokens in an API.
import type { CallOptions, Client, ClientOptions, Exchange, MomentOptions, Server } from './index.cjs'
import type { VerifiedAccessToken, VerifyAccessTokenArguments, VerifyApiRequestArguments } from './js/ops.cjs'

/** What a token must have, and what its request has proved. */
export type AccessTokenNeeds = Pick<VerifyAccessTokenArguments, 'scope' | 'acrValues' | 'maxAge' | 'jkt' | 'x5tS256'>

/** A request that an API has received, and what its token must have. */
export type AccessTokenRequest = Pick<
  VerifyApiRequestArguments,
  'method' | 'url' | 'authorization' | 'dpop' | 'scope' | 'acrValues' | 'maxAge' | 'x5tS256'
>

/** The key of the nonces of DPoP proofs. */
interface DpopNonceKeyOptions {
  /**
   * Requires in each DPoP proof a nonce that this API has issued (RFC 9449 section 9), and issues them: a key of 32
   * random bytes, or their text in base64url, the same in all processes of the API.
   */
  dpopNonceKey?: Uint8Array | string | undefined
}

/** What an API requires of all tokens. */
export interface AccessTokenVerifierOptions
  extends DpopNonceKeyOptions,
    Omit<VerifyApiRequestArguments, 'method' | 'url' | 'authorization' | 'dpop' | 'x5tS256' | 'dpopNonceKey'>,
    Pick<
      ClientOptions,
      | 'timeoutMs' | 'network' | 'fetch' | 'send'
      | 'accessTokenEncryptionAlg' | 'accessTokenEncryptionEnc' | 'decryptionKeys'
    > {}

/** What an API requires of all tokens, and how answers of the server are cached. */
export interface IntrospectingVerifierOptions
  extends DpopNonceKeyOptions,
    Omit<
      VerifyApiRequestArguments,
      'method' | 'url' | 'authorization' | 'dpop' | 'x5tS256' | 'dpopNonceKey' | 'profile' | 'algs'
    > {
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
   * Verifies a token that was presented as a bearer token, or with a proof that a gateway has verified and whose key you
   * name. Requirements given here replace those of the API. An error has `responseStatus` and `responseHeaders` for the
   * response (RFC 6750 section 3).
   */
  verify(token: string, options?: AccessTokenNeeds & CallOptions): Promise<VerifiedAccessToken>
  /** Verifies a token as {@link AccessTokenVerifier.verify} does, for your own driver. */
  verifyExchange(token: string, options?: AccessTokenNeeds & MomentOptions): Exchange<VerifiedAccessToken>
  /**
   * Verifies the token of a request, presented by the scheme `Bearer` or `DPoP`, and with the latter the proof of the
   * request (RFC 9449 section 7). A token that is bound to a key is accepted only with a proof of this key. `url` is the
   * absolute URL to which the client sent the request: take scheme and host from your configuration. Send `dpopNonce` of
   * the result, if there is one, with the response in the field `DPoP-Nonce`.
   */
  verifyRequest(request: AccessTokenRequest & CallOptions): Promise<VerifiedAccessToken>
  /** Verifies a request as {@link AccessTokenVerifier.verifyRequest} does, for your own driver. */
  verifyRequestExchange(request: AccessTokenRequest & MomentOptions): Exchange<VerifiedAccessToken>
  /** The server's public keys that have been fetched, as text to store: see `Client.exportKeys`. */
  exportKeys(): string | undefined
  /** Adopts the keys that `exportKeys` wrote, unless newer ones are known. */
  importKeys(text: string): void
}
