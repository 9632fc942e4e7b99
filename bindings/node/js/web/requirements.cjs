'use strict'

// The requirements of a page, in the form of the native half.

const { optionsOf } = require('../options.cjs')

const texts = (given) => (typeof given === 'string' ? given.split(' ') : [...given])

/** The requirements of a page in the form of the addon. Unknown names are refused as typos. */
function needOf(need) {
  const { acr = [], maxAge, scope = [], tenant } = optionsOf('what a page needs', need)
  return { acr: texts(acr), maxAge, scope: texts(scope), tenant }
}

/** The access mode of a request whose user's grant has ended. */
const OVER = { access: 'over' }

/** The access mode of a page for people who are signed in and meet its requirements. */
function signedIn(need) {
  return { access: 'signed_in', need: need === undefined ? undefined : needOf(need) }
}

module.exports = { OVER, needOf, signedIn }
