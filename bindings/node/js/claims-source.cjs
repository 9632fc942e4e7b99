'use strict'

// The typed standard claims about a user (OpenID Connect Core section 5.1), and aggregated and distributed claims.

const native = require('#native')
const { callNative } = require('./errors.cjs')
const { UserClaims } = require('./ops.cjs')
const { Record } = require('./record.cjs')

/** A source of aggregated or distributed claims. */
class ClaimsSource extends Record {
  static members = { name: 'plain', claims: 'plain', jwt: 'secret', endpoint: 'plain', accessToken: 'secret' }
}

/** Claims as the JSON text that the native half parses. */
function toJsonText(claims) {
  if (typeof claims !== 'object' || claims === null) throw new TypeError('claims must be an object')
  return JSON.stringify(claims)
}

/** The standard claims, with their types. */
function userClaims(claims) {
  const text = toJsonText(claims)
  return UserClaims.of(JSON.parse(callNative(() => native.userClaims(text))))
}

/** The sources that a user's claims refer to. */
function claimsSources(claims) {
  const text = toJsonText(claims)
  const sources = callNative(() => native.claimsSources(text))
  return sources.map(({ name, claims, jwt, endpoint, accessToken }) => ClaimsSource.of([name, claims, jwt, endpoint, accessToken]))
}

module.exports = { claimsSources, userClaims }
