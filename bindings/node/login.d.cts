// Sign-in for programs other than web applications.
import type { CallOptions, Client, LoginRequest, Tokens } from './index.cjs'
import type { DeviceAuthorizationResponse } from './js/ops.cjs'

export interface LoginOptions extends CallOptions, LoginRequest {
  /**
   * Shows the URL to the user; by default it is printed on standard error, and opened in the system's browser. A promise
   * that it returns may stay pending until the browser has come back.
   */
  open?: (url: URL) => unknown
  /**
   * Asks for the URL at which a browser on another machine ended up; called again if the URL does not belong to this login.
   * `undefined` means that there is nobody to ask. The signal is aborted once the answer is no longer needed.
   */
  paste?: (signal: AbortSignal) => Promise<string | undefined>
  /** A free port by default. */
  port?: number
  /** `/callback` by default. */
  path?: string
  /** Instead of both: a redirect URI that is registered as a whole. */
  redirectUri?: string | undefined
  /**
   * If there is no browser (no display, as over SSH, `BROWSER=none`, or nothing opens) and the server offers it (RFC 8628),
   * the user enters a code on another device instead. `true` always does that, `false` never: the URL is then opened
   * manually. By default no code is used with your own `open`, which implies a browser, nor if something is requested
   * that the device flow does not support, such as `acrValues`. Scope, resource, audience and `tokenExtra` apply to a
   * code too, options about a browser do not. The code ends at the server's time, and with `timeoutMs` at the latest
   * after that.
   */
  device?: boolean | undefined
  /** Shows the code; by default a prompt that says what it is for and where to enter it is printed on standard error, with a QR code in a terminal. */
  show?: (code: DeviceAuthorizationResponse) => unknown
  /** The purpose of the code that the prompt states, such as `sign in to example-cli on build-7`. */
  purpose?: string | undefined
}
/**
 * The login of native apps (RFC 8252): a loopback listener, the user's browser, the tokens; or a code on another
 * device.
 */
export function login(client: Client, options?: LoginOptions): Promise<Tokens>
/**
 * Gets tokens from the server of `client` for somebody who has signed in at the identity provider of the other
 * client: first the assertion for that server, then the tokens for it (draft-ietf-oauth-identity-assertion-authz-grant). Both
 * are configured by the organization, and never taken from a resource. Call it again for new tokens: an assertion can
 * be used once.
 */
export function identityAssertionGrant(
  identityProvider: Client, tokens: Tokens, client: Client,
  options?: CallOptions & { scope?: string | readonly string[] | undefined; resource?: readonly string[] | undefined },
): Promise<Tokens>
/** Opens a URL in the user's browser, without a shell. */
export function openBrowser(url: URL): void
