// Who is signed in at a page that has no server: the page itself keeps the tokens.

import type { ApiRequestInit, Config, Session, SignInOptions, UserInfoClaims } from './index.js'

export interface PageSessionState {
  /** Whether somebody is signed in is not known yet. */
  readonly isLoading: boolean
  /** The verified claims of the ID token; none without the scope `openid`, where `session` says that somebody is signed in. */
  readonly user: UserInfoClaims | undefined
  /** The preset in the `config`, if it names one. */
  readonly provider: string | undefined
  /** Only a server has tenants. */
  readonly tenant: undefined
  /** Only a server ends sessions at a set time. */
  readonly until: undefined
  /** Why the sign-in failed, or why it is not known whether somebody is signed in: an `OAuthError`. */
  readonly error: unknown
  /** The tokens of the user who is signed in. */
  readonly session: Session | undefined
}

/** As `signIn` of `oauth-core-web` has them. */
export interface PageSignInOptions extends Omit<SignInOptions, 'session'> {
  /** `openid` by default. For a provider without OpenID Connect, name what it has. */
  scope?: SignInOptions['scope']
  /** Where to return to: this page by default. A popup stays there. */
  returnTo?: string
}

export interface PageSessionActions {
  /**
   * Signs in by redirect, and then returns to this page; or with `mode: 'popup'`, from a click. Why it fails is also in
   * `error`.
   */
  signIn(options?: PageSignInOptions): Promise<void>
  /**
   * Signs out, in all tabs, and at the server if it has a page for that; goes to `returnTo` of this origin, the home page by
   * default, which the server has to have registered (`post_logout_redirect_uris`).
   */
  signOut(options?: { returnTo?: string }): Promise<void>
  /** `fetch` of the session: with the token, to the origins in `config.api`. `grant.no_refresh_token` if nobody is signed in. */
  fetch(input: RequestInfo | URL, init?: ApiRequestInit): Promise<Response>
  /** Looks for a session again, if there is none. */
  refresh(): Promise<PageSessionState>
}

export interface UsePageSessionOptions {
  /** Which server, and who the page is. Components with the same one share a session. */
  config: Config
}
