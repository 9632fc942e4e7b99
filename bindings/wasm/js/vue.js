// Who is signed in, for components of Vue.
import { computed, onScopeDispose, shallowRef } from 'vue'
import { sessionAt } from './server-session.js'

/** What is known of who is signed in, as refs, and what can be done about it. All components share one session. */
export function useSession({ prefix } = {}) {
  const session = sessionAt(prefix)
  const { signIn, signOut, fetch, refresh } = session
  const state = shallowRef(session.get())
  // There is nobody to tell on a server, where pages are written once.
  if (typeof window !== 'undefined') {
    onScopeDispose(session.subscribe(() => {
      state.value = session.get()
    }))
  }
  const refs = Object.keys(state.value).map((name) => [name, computed(() => state.value[name])])
  return { ...Object.fromEntries(refs), signIn, signOut, fetch, refresh }
}
