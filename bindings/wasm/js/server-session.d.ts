// Who is signed in at the server that a page comes from.

/** What the server says about a person: `sub`, and the claims that its sessions keep. */
export interface ServerUser {
  readonly sub: string
  readonly name?: string
  readonly email?: string
  readonly picture?: string
  readonly [claim: string]: unknown
}

export interface ServerSessionState {
  /** The server has not answered yet. */
  readonly isLoading: boolean
  /** Who is signed in. */
  readonly user: ServerUser | undefined
  /** The provider. */
  readonly provider: string | undefined
  /** The tenant of the provider, if the site has tenants. */
  readonly tenant: string | undefined
  /** When the session ends. */
  readonly until: Date | undefined
  /** Why the server did not answer; what was known before stays. */
  readonly error: unknown
}

export interface SignInOptions {
  /** Where to return to: this page unless set. */
  returnTo?: string
  /** Which provider, if there are several. */
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
  /** Asks the server again. */
  refresh(): Promise<ServerSessionState>
}

export interface UseSessionOptions {
  /** Where the server has its pages: `/auth` unless set. */
  prefix?: string
  config?: undefined
}
