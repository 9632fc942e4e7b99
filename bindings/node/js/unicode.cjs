'use strict'

// Refuses text that is not well-formed Unicode, before it reaches the addon.

/** A lone surrogate. Unicode text has none, so the addon would put another character in its place. */
const LONE = /\p{Surrogate}/u

/** Refuses a string, or plain data with one, that would arrive as another: it may be a secret, and is not shown. */
function checkUnicode(value, name) {
  if (typeof value === 'string') {
    if (LONE.test(value)) throw new TypeError(`${name} has a lone surrogate, which is no Unicode text`)
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
