'use strict'

// Tells what is wrong with an argument that must be an object of this package.

/** The error for an argument of the wrong kind; `await` is easily forgotten, so a promise is named as the reason. */
function kindError(wanted, value) {
  return new TypeError(typeof value?.then === 'function' ? `${wanted}, not a Promise: await it` : wanted)
}

module.exports = { kindError }
