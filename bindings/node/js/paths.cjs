'use strict'

// File paths, as strings or file URLs.


/** A path, as a text or a file URL. */
function pathOf(path) {
  const { fileURLToPath } = require('#host')
  const text = path instanceof URL ? fileURLToPath(path) : path
  if (typeof text !== 'string') throw new TypeError('path must be a text or a file URL')
  return text
}

/** A text as it was given, if it is one: what it is instead may be a secret, and is not shown. */
function checkText(value, name) {
  if (typeof value !== 'string') throw new TypeError(`${name} must be a text`)
  return value
}

/** A text, or a URL as its text. */
function textOrUrl(value, name) {
  if (!(value instanceof URL) && typeof value !== 'string') throw new TypeError(`${name} must be a text or a URL`)
  return String(value)
}

/** What `fetch` takes first, if it is that. */
function checkInput(input) {
  const isRequest = typeof input === 'object' && input !== null && typeof input.url === 'string'
  if (!isRequest) textOrUrl(input, 'url')
  return input
}

module.exports = { checkInput, checkText, pathOf, textOrUrl }
