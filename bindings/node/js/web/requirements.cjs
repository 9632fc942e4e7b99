'use strict'

// Converts the requirements of a page to the form that the native half expects.

const { checkOptions } = require('../options.cjs')

const texts = (value) => (typeof value === 'string' ? value.split(' ') : [...value])

/** Converts the requirements of a page. Unknown names are rejected as typos. */
function readNeed(need) {
  const { acr = [], maxAge, scope = [], tenant } = checkOptions('what a page needs', need)
  return { acr: texts(acr), maxAge, scope: texts(scope), tenant }
}

/** The access mode of a request whose user's grant has ended. */
const OVER = { access: 'over' }

/** The access mode of a page for signed-in users who meet its requirements. */
function signedIn(need) {
  return { access: 'signed_in', need: need === undefined ? undefined : readNeed(need) }
}

module.exports = { OVER, readNeed, signedIn }
