'use strict'

// `stepUp`: reads from an API's response what it requires beyond the current token (RFC 9470).

const native = require('#native')
const { callNative } = require('./errors.cjs')

/** The step-up that an API's response requires (RFC 9470, RFC 6750 section 3.1). */
function stepUp(response) {
  if (typeof response?.headers?.get !== 'function') throw new TypeError('reply must be a Response')
  const { status, headers } = response
  const field = headers.get('www-authenticate')
  const text = callNative(() => native.stepUp(status, field === null ? [] : [field]))
  if (text === null) return undefined
  const requirements = Object.entries(JSON.parse(text))
  // An empty list requires nothing, but a `maxAge` of 0 seconds does.
  return Object.fromEntries(requirements.filter(([, value]) => value !== null && value.length !== 0))
}

module.exports = { stepUp }
