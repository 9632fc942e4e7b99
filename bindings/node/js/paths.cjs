'use strict'

const { fileURLToPath } = require('node:url')

/** A path, as a text or a file URL. */
function pathOf(path) {
  const text = path instanceof URL ? fileURLToPath(path) : path
  if (typeof text !== 'string') throw new TypeError('path must be a text or a file URL')
  return text
}

module.exports = { pathOf }
