'use strict'

// Checks arguments that are strings, URLs or file paths.

const { checkUnicode } = require('./unicode.cjs')

/** A path, as a string or a file URL. */
function toPath(path) {
  const { fileURLToPath } = require('#host')
  const text = path instanceof URL ? fileURLToPath(path) : path
  if (typeof text !== 'string') throw new TypeError('path must be a string or a file URL')
  if (text === '') throw new TypeError('path must not be empty')
  return checkUnicode(text, 'path')
}

/** Checks that an argument is a string. The error does not show the value, which may be secret. */
function checkText(value, name) {
  if (typeof value !== 'string') throw new TypeError(`${name} must be a string`)
  return checkUnicode(value, name)
}

/** A string, or a URL as its text. */
function textOrUrl(value, name) {
  if (!(value instanceof URL) && typeof value !== 'string') throw new TypeError(`${name} must be a string or a URL`)
  return checkUnicode(String(value), name)
}

/** Checks the first argument of `fetch`. */
function checkInput(input) {
  const isRequest = typeof input === 'object' && input !== null && typeof input.url === 'string'
  if (!isRequest) textOrUrl(input, 'url')
  return input
}

module.exports = { checkInput, checkText, toPath, textOrUrl }
