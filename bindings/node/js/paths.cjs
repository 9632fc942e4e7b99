'use strict'

// File paths, as strings or file URLs.

const { checkUnicode } = require('./unicode.cjs')

/** A path, as a string or a file URL. */
function pathOf(path) {
  const { fileURLToPath } = require('#host')
  const text = path instanceof URL ? fileURLToPath(path) : path
  if (typeof text !== 'string') throw new TypeError('path must be a string or a file URL')
  if (text === '') throw new TypeError('path is empty')
  return checkUnicode(text, 'path')
}

/** The argument, if it is a string; otherwise an error that does not show it, because it may be a secret. */
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

module.exports = { checkInput, checkText, pathOf, textOrUrl }
