import type { ServerSessionActions, ServerSessionState, UseSessionOptions } from './server-session.js'

export type * from './server-session.js'

/** What is known of who is signed in, and what can be done about it. All components share one session. */
export function useSession(options?: UseSessionOptions): ServerSessionState & ServerSessionActions
