'use strict'


/** A path, as a text or a file URL. */
function pathOf(path) {
  const { fileURLToPath } = require('#host')
const text = path instanceof URL ? fileURLToPath(path) : path
  if (typeof text !== 'string') throw new TypeError('path must be a text or a file URL')
  return text
}

module.exports = { pathOf }
