// The server session as a Vue composable.
import { computed, onScopeDispose, shallowRef } from 'vue'
import { sessionAt } from './server-session.js'

/** The state of the server session as refs, with its actions. All components share one session. */
export function useSession({ prefix } = {}) {
  const session = sessionAt(prefix)
  const { signIn, signOut, fetch, refresh } = session
  const state = shallowRef(session.get())
  // A server renders a page once, so no subscription is needed there.
  if (typeof window !== 'undefined') {
    onScopeDispose(session.subscribe(() => {
      state.value = session.get()
    }))
  }
  const refs = Object.keys(state.value).map((name) => [name, computed(() => state.value[name])])
  return { ...Object.fromEntries(refs), signIn, signOut, fetch, refresh }
}
