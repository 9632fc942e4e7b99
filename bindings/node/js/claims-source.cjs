'use strict'

// Claims that other parties vouch for.

const native = require('#native')
const { lifted } = require('./errors.cjs')
const { Record } = require('./record.cjs')

/** A source of such claims. */
class ClaimsSource extends Record {
  static members = { name: 'plain', claims: 'plain', jwt: 'secret', endpoint: 'plain', accessToken: 'secret' }
}

/** The sources that the claims of a person name. */
function claimsSources(claims) {
  if (typeof claims !== 'object' || claims === null) throw new TypeError('claims must be an object')
  const sources = lifted(() => native.claimsSources(JSON.stringify(claims)))
  return sources.map(({ name, claims, jwt, endpoint, accessToken }) => ClaimsSource.of([name, claims, jwt, endpoint, accessToken]))
}

module.exports = { claimsSources }
