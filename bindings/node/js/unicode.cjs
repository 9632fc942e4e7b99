'use strict'

// Rejects strings that are not well-formed Unicode, before they reach the addon.

/** A lone surrogate, which the addon would silently replace with a different character. */
const LONE = /\p{Surrogate}/u

/** Throws for a string with a lone surrogate, also within plain data. The error does not show the string, which may be secret. */
function checkUnicode(value, name) {
  if (typeof value === 'string') {
    if (LONE.test(value)) throw new TypeError(`${name} contains a lone surrogate, so it is not valid Unicode text`)
  } else if (Array.isArray(value)) {
    for (const item of value) checkUnicode(item, name)
  } else if (typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype) {
    for (const [key, item] of Object.entries(value)) {
      checkUnicode(key, name)
      if (typeof item === 'string') checkUnicode(item, name)
    }
  }
  return value
}

module.exports = { checkUnicode }
