// What an API requires of the person before it lets a request through (RFC 9470).

import { ready } from './wasm.js'

/** What the reply of an API requires of the person, for `signIn`; `undefined` if no other login would help. */
export async function stepUp({ status, headers }) {
  const wasm = await ready()
  const field = headers.get('www-authenticate')
  const text = wasm.stepUp(status, field === null ? [] : [field])
  if (text === undefined) return undefined
  const wanted = Object.entries(JSON.parse(text))
  // A list without items asks for nothing, and zero seconds are a wish.
  return Object.fromEntries(wanted.filter(([, value]) => value !== null && value.length !== 0))
}
