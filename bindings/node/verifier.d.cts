// For APIs that are shown access tokens, and for the logout of a person.
import type { CallOptions, Client, ClientOptions, Exchange, MomentOptions, Server } from './index.cjs'
import type { VerifiedAccessToken, VerifyAccessTokenArguments } from './js/ops.cjs'

/** How to sign a person out at the server. */
export interface EndSessionOptions {
  /**
   * The ID token of the login, which tells the server whose session is meant. The standard wants it in the URL: keep
   * that out of logs.
   */
  idTokenHint?: string | undefined
  /** Who is to be signed out, in words that the server knows. */
  logoutHint?: string | undefined
  /** Where to come back to; registered at the server. */
  postLogoutRedirectUri?: string | URL | undefined
  /** What comes back with the person: compare it. */
  state?: string | undefined
  /** Languages in order of preference, with spaces. */
  uiLocales?: string | undefined
}

/** What a token needs, and what its request has proved. */
export type AccessTokenNeeds = Pick<VerifyAccessTokenArguments, 'scope' | 'acrValues' | 'maxAge' | 'jkt' | 'x5tS256'>

/** What an API asks of all tokens. */
export interface AccessTokenVerifierOptions
  extends Omit<VerifyAccessTokenArguments, 'token' | 'jkt' | 'x5tS256'>,
    Pick<ClientOptions, 'timeoutMs' | 'network' | 'fetch' | 'send'> {}

/** What an API asks of all tokens, and what it remembers of those that the server was asked about. */
export interface IntrospectingVerifierOptions
  extends Omit<VerifyAccessTokenArguments, 'token' | 'jkt' | 'x5tS256' | 'profile' | 'algs'> {
  /**
   * For how many seconds an answer is believed, and never beyond the end of the token; that it is not active, for five
   * at most. A revoked token is good here for as long. Without it, each call is a request.
   */
  cacheMaxAge?: number | undefined
  /** How many answers are kept at most: 1000 unless you say. One takes up to 256 KiB; tokens are not kept. */
  cacheEntries?: number | undefined
  /**
   * The algorithm of signed answers (RFC 9701), as registered: introspection_signed_response_alg. Plain answers are then
   * refused.
   */
  signedResponseAlg?: string | undefined
  /** The name that the server has for this API in the aud of a signed answer, if it is not the client id. */
  signedResponseAudience?: string | undefined
}

/**
 * Verifies the access tokens of one server for one API (RFC 9068 section 4). The server's keys are fetched as needed, and
 * kept for all calls.
 */
export class AccessTokenVerifier {
  constructor(server: Server, options: AccessTokenVerifierOptions)
  /**
   * Verifies tokens by asking the server about each (RFC 7662), as this client: those that say nothing by themselves, or
   * to learn of revocations. Where the server names no audience it vouches for it, as section 4 demands. Results, refusals
   * and challenges are those of a verifier of JWTs; a token that is not active is `access_token.inactive`. Of several
   * calls with one new token one asks, where answers are kept.
   */
  static introspecting(client: Client, options: IntrospectingVerifierOptions): AccessTokenVerifier
  readonly server: Server
  /**
   * Verifies a token that was shown as a bearer token, or with the proof whose key you name. What is needed here takes
   * the place of what the API needs. An error has `answerStatus` and `challenge`: what to answer with (RFC 6750 section 3).
   */
  verify(token: string, options?: AccessTokenNeeds & CallOptions): Promise<VerifiedAccessToken>
  /** The same for a driver of your own. */
  verifyExchange(token: string, options?: AccessTokenNeeds & MomentOptions): Exchange<VerifiedAccessToken>
  /** The server's public keys that are known, to store: see `Client.exportKeys`. */
  exportKeys(): string | undefined
  /** Knows the keys that `exportKeys` wrote, unless newer ones are known. */
  importKeys(text: string): void
}
