'use strict'

// Step-up: what an API requires beyond the current token.

const native = require('#native')
const { lifted } = require('./errors.cjs')

/** What the reply of an API requires of the person (RFC 9470, RFC 6750 section 3.1). */
function stepUp(reply) {
  if (typeof reply?.headers?.get !== 'function') throw new TypeError('reply must be a Response')
  const { status, headers } = reply
  const field = headers.get('www-authenticate')
  const text = lifted(() => native.stepUp(status, field === null ? [] : [field]))
  if (text === null) return undefined
  const wanted = Object.entries(JSON.parse(text))
  // A list without items asks for nothing, and zero seconds are a wish.
  return Object.fromEntries(wanted.filter(([, value]) => value !== null && value.length !== 0))
}

module.exports = { stepUp }
