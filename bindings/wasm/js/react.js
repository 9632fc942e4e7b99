// The server session as a React hook.
import { useSyncExternalStore } from 'react'
import { sessionAt } from './server-session.js'

/** The state of the server session, with its actions. All components share one session. */
export function useSession({ prefix } = {}) {
  const session = sessionAt(prefix)
  const { signIn, signOut, fetch, refresh, get, subscribe } = session
  const state = useSyncExternalStore(subscribe, get, get)
  return { ...state, signIn, signOut, fetch, refresh }
}
