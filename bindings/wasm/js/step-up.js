// Step-up challenges: the authentication that an API requires beyond the current token (RFC 9470).

import { ready } from './wasm.js'

/** The step-up that the response of an API requires, for `signIn`; `undefined` if no other login would help. */
export async function stepUp({ status, headers }) {
  const wasm = await ready()
  const field = headers.get('www-authenticate')
  const text = wasm.stepUp(status, field === null ? [] : [field])
  if (text === undefined) return undefined
  const requirements = Object.entries(JSON.parse(text))
  // An empty list requires nothing, but a `maxAge` of 0 seconds does.
  return Object.fromEntries(requirements.filter(([, value]) => value !== null && value.length !== 0))
}
