// Monitors whether the user is still signed in at the server (OpenID Connect Session Management 1.0).

export interface SessionMonitorOptions {
  /** `check_session_iframe` of the server's metadata. */
  checkSessionIframe: string
  clientId: string
  /** `session_state` of the authorization response: read it from the page's address before `handleCallback`. */
  sessionState: string | null | undefined
  /**
   * Called once, when the session at the server has changed. Find out by a login with `extra: { prompt: 'none' }`
   * whether a user is still signed in, and monitor with the `session_state` of its response.
   */
  onChange?: () => void
  /** Called once, when the server's frame reports an error. Do not start a login for it: it could fail forever. */
  onError?: () => void
  /** How often the server's frame is asked, in milliseconds: 2000 unless set. */
  intervalMs?: number
}

export interface SessionMonitor {
  stop(): void
}

/**
 * Asks the server's frame in a hidden `iframe` until the session changes, an error is reported or `stop` is called.
 * `undefined` without a session state: the server does not offer it. `TypeError` for a URL that is not `https`.
 */
export function monitorSession(options: SessionMonitorOptions): SessionMonitor | undefined
