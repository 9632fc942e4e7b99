import type { PageSessionActions, PageSessionState, UsePageSessionOptions } from './page-session.js'
import type { ServerSessionActions, ServerSessionState, UseSessionOptions } from './server-session.js'

export type * from './page-session.js'
export type * from './server-session.js'

/** The session of the signed-in user at the page's server, and its actions. All components share one session. */
export function useSession(options?: UseSessionOptions): ServerSessionState & ServerSessionActions
/**
 * The session of a page without a server, which keeps the tokens itself: that half of the package is loaded at the
 * first use.
 */
export function useSession(options: UsePageSessionOptions): PageSessionState & PageSessionActions
