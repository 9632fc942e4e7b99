// Where a session is kept beside memory: in this tab's sessionStorage, or where the caller says.

import { setupError } from './errors.js'

const NEEDED = ['getItem', 'setItem', 'removeItem']

/** What has these three, whose answers may be promises; nothing for memory only. */
export function storageOf({ storage = 'memory' }) {
  if (storage === 'memory') return undefined
  if (storage === 'session') {
    if (typeof sessionStorage !== 'undefined') return sessionStorage
    throw setupError("there is no sessionStorage here: pass a storage of your own, or leave 'session' out")
  }
  const isStorage = NEEDED.every((name) => typeof storage?.[name] === 'function')
  if (!isStorage) throw new TypeError(`storage is 'memory', 'session', or has ${NEEDED.join(', ')}`)
  return storage
}
