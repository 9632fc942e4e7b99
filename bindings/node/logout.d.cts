// Logout: a user is signed out at the server, and its requests to the browser are checked.

/** How to sign a user out at the server (OpenID Connect RP-Initiated Logout section 2). */
export interface EndSessionOptions {
  /**
   * The ID token of the login, which identifies the session to the server. It is part of the URL: keep that out of logs.
   */
  idTokenHint?: string | undefined
  /** Who is to be signed out, as a hint that the server understands. */
  logoutHint?: string | undefined
  /** The URL to return to; registered at the server. */
  postLogoutRedirectUri?: string | URL | undefined
  /** The server returns it with the user: check that it is the same. */
  state?: string | undefined
  /** Languages in order of preference, separated by spaces. */
  uiLocales?: string | undefined
}

/** A form to post in the browser, which signs the user out at the server. It shows nothing of its fields. */
export interface LogoutForm {
  /** The URL that the form is posted to. */
  readonly action: string
  /** The fields by name. The ID token among them has data about the user: keep it out of logs. */
  readonly fields: Readonly<Record<string, string>>
  /**
   * A page with the form, which posts itself, and has a button for browsers without scripts. Send it with
   * `Cache-Control: no-store` and with `contentSecurityPolicy`.
   */
  readonly html: string
  /** The `Content-Security-Policy` of the page: it allows its own script, and nothing else. */
  readonly contentSecurityPolicy: string
}

/**
 * Checks the `state` with which a user returns from a logout (OpenID Connect RP-Initiated Logout section 3): throws
 * `logout.state`, or `logout.malformed` for an invalid query, or one larger than 64 KiB. `url` is the whole URL that
 * was requested, or its query. A request without the state may come from anyone: show a page, and change nothing.
 */
export function checkLogoutReturn(url: string | URL, options: { state: string }): void

/**
 * A request for a logout through the front channel (OpenID Connect Front-Channel Logout section 3), which the server
 * has the browser load in a frame. Browsers withhold cookies there, so prefer the back channel. Answer with
 * `Cache-Control: no-store`, 400 if this throws, and let only the server frame the page (`frame-ancestors`).
 */
export class FrontChannelLogout {
  /**
   * Reads the URL that was requested, or its query: `logout.malformed` for one of `iss` and `sid` without the other
   * (section 2), for either of them twice, and for an invalid query, or one larger than 64 KiB.
   */
  constructor(url: string | URL)
  /**
   * Whether it ends the session of the browser that sent it: `issuer` and `sid` are those of its ID token. Nothing proves
   * who made the browser load the frame, so it ends no other session.
   */
  ends(session: { issuer: string, sid?: string | undefined }): boolean
}
