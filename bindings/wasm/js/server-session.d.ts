// The session of a user at the server of a page.

import type { UserInfoClaims } from './user-claims.js'

/** The user as described by the server: `sub`, and the claims that its sessions keep. */
export interface ServerUser extends UserInfoClaims {}

export interface ServerSessionState {
  /** The server has not answered yet. */
  readonly isLoading: boolean
  /** The signed-in user. */
  readonly user: ServerUser | undefined
  /** The provider. */
  readonly provider: string | undefined
  /** The tenant of the provider, if the site has tenants. */
  readonly tenant: string | undefined
  /** The end of the session. */
  readonly until: Date | undefined
  /** The error of the last request to the server; the other members keep their values. */
  readonly error: unknown
}

export interface SignInOptions {
  /** Where to return to: this page unless set. */
  returnTo?: string
  /** The provider, if there are several. */
  provider?: string
  loginHint?: string
}

export interface ServerSessionActions {
  /** Navigates to the login, and back. */
  signIn(options?: SignInOptions): void
  /** Signs out, here and at the provider, and navigates to `returnTo`, the home page unless set. */
  signOut(options?: { returnTo?: string }): void
  /** `fetch` of the page's own origin, with the header `X-CSRF-Protection`. After a 401 nobody is signed in. */
  fetch(input: string | URL | Request, init?: RequestInit): Promise<Response>
  /** Requests the session from the server again. */
  refresh(): Promise<ServerSessionState>
}

export interface UseSessionOptions {
  /** The path of the server's pages for sign-in: `/auth` unless set. */
  prefix?: string
  config?: undefined
}
