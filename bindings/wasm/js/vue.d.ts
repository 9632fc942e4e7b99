import type { ServerSessionActions, ServerSessionState, UseSessionOptions } from './server-session.js'

export type * from './server-session.js'

/** What is known of who is signed in, as refs, and what can be done about it. All components share one session. */
export function useSession(options?: UseSessionOptions): {
  readonly [name in keyof ServerSessionState]: { readonly value: ServerSessionState[name] }
} & ServerSessionActions
