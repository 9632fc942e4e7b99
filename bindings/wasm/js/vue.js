// The session as a Vue composable.
import { onScopeDispose, shallowReactive, shallowReadonly, toRefs } from 'vue'
import { getSession } from './server-session.js'

export function useSession(options) {
  const { get, subscribe, actions } = getSession(options)
  const state = shallowReactive({ ...get() })
  // A server renders a page once, so no subscription is needed there.
  if (typeof window !== 'undefined') onScopeDispose(subscribe(() => Object.assign(state, get())))
  return { ...toRefs(shallowReadonly(state)), ...actions }
}
