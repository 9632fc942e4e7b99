'use strict'

const texts = (given) => (typeof given === 'string' ? given.split(' ') : [...given])

/** What a page wants, as the addon takes it; who names what there is not has mistyped another. */
function needOf({ acr = [], maxAge, scope = [], tenant, ...others }) {
  const [unknown] = Object.keys(others)
  if (unknown !== undefined) throw new TypeError(`${unknown}: a page needs acr, maxAge, scope and tenant`)
  return { acr: texts(acr), maxAge, scope: texts(scope), tenant }
}

/** How a page is asked for that is for people who are signed in, and have done what else is needed. */
function signedIn(need) {
  return { access: 'signed_in', need: need === undefined ? undefined : needOf(need) }
}

module.exports = { needOf, signedIn }
