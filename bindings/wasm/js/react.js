// The session as a React hook.
import { useSyncExternalStore } from 'react'
import { sessionOf } from './server-session.js'

export function useSession(options) {
  const { get, subscribe, actions } = sessionOf(options)
  return { ...useSyncExternalStore(subscribe, get, get), ...actions }
}
