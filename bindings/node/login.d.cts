// Sign-in for programs other than web applications.
import type { CallOptions, Client, LoginRequest, Tokens } from './index.cjs'
import type { DeviceCode } from './js/ops.cjs'

export interface LoginOptions extends CallOptions, LoginRequest {
  /** Shows the URL to the person; by default it is printed on standard error, and opened in the system's browser. */
  open?: (url: URL) => unknown
  /**
   * Asks for the address at which a browser on another machine ended; again if that is none of this login.
   * `undefined` means that there is nobody to ask. The signal is aborted once the answer is no longer needed.
   */
  paste?: (signal: AbortSignal) => Promise<string | undefined>
  /** A free one by default. */
  port?: number
  /** `/callback` by default. */
  path?: string
  /** Instead of both: a redirect URI that is registered as a whole. */
  redirectUri?: string | undefined
  /**
   * Where there is no browser (no display, as over SSH, `BROWSER=none`, or nothing opens) and the server offers it
   * (RFC 8628), the person enters a code on another device instead. `true` always does that, `false` never: the URL is
   * then opened by hand. By itself it is not done with an `open` of your own, which knows of a browser, nor where
   * something is asked for that a code has no place for, such as `acrValues`. Scope, resource, audience and `tokenExtra`
   * hold for a code too, and nothing that is about a browser; the server says how long the person may take.
   */
  device?: boolean | undefined
  /** Shows the code; by default its prompt, which says what for and where, is printed on standard error, in a terminal with a QR code. */
  show?: (code: DeviceCode) => unknown
  /** What the prompt says the code is for, such as `sign in to example-cli on build-7`. */
  purpose?: string | undefined
}
/** The login of native apps (RFC 8252): a loopback listener, the person's browser, the tokens; or a code elsewhere. */
export function login(client: Client, options?: LoginOptions): Promise<Tokens>
/**
 * Tokens of the server of `client` for somebody who has signed in at the identity provider, whose client the other one
 * is: the assertion for that server, then the tokens for it (draft-ietf-oauth-identity-assertion-authz-grant). Both
 * are configured by the organisation, and never taken from what a resource says. Call it again for new tokens: an
 * assertion is good once.
 */
export function identityAssertionGrant(
  identityProvider: Client, tokens: Tokens, client: Client,
  options?: CallOptions & { scope?: string | readonly string[] | undefined; resource?: readonly string[] | undefined },
): Promise<Tokens>
/** Opens a URL in the person's browser, without a shell. */
export function openBrowser(url: URL): void
