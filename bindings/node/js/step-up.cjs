'use strict'

// Step-up: what an API requires beyond the current token.

const native = require('#native')
const { callNative } = require('./errors.cjs')

/** The step-up that the reply of an API requires (RFC 9470, RFC 6750 section 3.1). */
function stepUp(reply) {
  if (typeof reply?.headers?.get !== 'function') throw new TypeError('reply must be a Response')
  const { status, headers } = reply
  const field = headers.get('www-authenticate')
  const text = callNative(() => native.stepUp(status, field === null ? [] : [field]))
  if (text === null) return undefined
  const wanted = Object.entries(JSON.parse(text))
  // An empty list requires nothing, but a `maxAge` of 0 seconds does.
  return Object.fromEntries(wanted.filter(([, value]) => value !== null && value.length !== 0))
}

module.exports = { stepUp }
