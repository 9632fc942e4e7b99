// The session as a React hook.
import { useSyncExternalStore } from 'react'
import { getSession } from './server-session.js'

export function useSession(options) {
  const { get, subscribe, actions } = getSession(options)
  return { ...useSyncExternalStore(subscribe, get, get), ...actions }
}
