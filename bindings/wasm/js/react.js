// Who is signed in, for components of React.
import { useSyncExternalStore } from 'react'
import { sessionAt } from './server-session.js'

/** What is known of who is signed in, and what can be done about it. All components share one session. */
export function useSession({ prefix } = {}) {
  const session = sessionAt(prefix)
  const { signIn, signOut, fetch, refresh, get, subscribe } = session
  const state = useSyncExternalStore(subscribe, get, get)
  return { ...state, signIn, signOut, fetch, refresh }
}
