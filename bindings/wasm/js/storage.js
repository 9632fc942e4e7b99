// The storage of a session beside memory: this tab's sessionStorage, or an object of the caller. Pending flows are kept
// in pending.js.

import { setupError } from './errors.js'

const NEEDED = ['getItem', 'setItem', 'removeItem']

/** An object with the three methods, which may return promises; `undefined` for memory only. */
export function selectStorage({ storage = 'memory' }) {
  if (storage === 'memory') return undefined
  if (storage === 'session') {
    if (typeof sessionStorage !== 'undefined') return sessionStorage
    throw setupError("there is no sessionStorage here: pass a storage of your own, or leave 'session' out")
  }
  const isStorage = NEEDED.every((name) => typeof storage?.[name] === 'function')
  if (!isStorage) throw new TypeError(`storage must be 'memory', 'session', or have ${NEEDED.join(', ')}`)
  return storage
}
