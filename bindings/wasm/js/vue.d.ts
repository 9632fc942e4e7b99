import type { ServerSessionActions, ServerSessionState, UseSessionOptions } from './server-session.js'

export type * from './server-session.js'

/** The session of the signed-in user as refs, and its actions. All components share one session. */
export function useSession(options?: UseSessionOptions): {
  readonly [name in keyof ServerSessionState]: { readonly value: ServerSessionState[name] }
} & ServerSessionActions
