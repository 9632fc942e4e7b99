'use strict'

// The standard claims about a user with their types, and aggregated and distributed claims.

const native = require('#native')
const { callNative } = require('./errors.cjs')
const { UserClaims } = require('./ops.cjs')
const { Record } = require('./record.cjs')

/** A source of such claims. */
class ClaimsSource extends Record {
  static members = { name: 'plain', claims: 'plain', jwt: 'secret', endpoint: 'plain', accessToken: 'secret' }
}

/** Claims as the native half reads them. */
function textOf(claims) {
  if (typeof claims !== 'object' || claims === null) throw new TypeError('claims must be an object')
  return JSON.stringify(claims)
}

/** The standard claims, with their types. */
function userClaims(claims) {
  const text = textOf(claims)
  return UserClaims.of(JSON.parse(callNative(() => native.userClaims(text))))
}

/** The sources that the claims of a person name. */
function claimsSources(claims) {
  const text = textOf(claims)
  const sources = callNative(() => native.claimsSources(text))
  return sources.map(({ name, claims, jwt, endpoint, accessToken }) => ClaimsSource.of([name, claims, jwt, endpoint, accessToken]))
}

module.exports = { claimsSources, userClaims }
