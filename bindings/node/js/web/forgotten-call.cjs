'use strict'

// Tells an application that it has passed on a function that creates the middleware, instead of calling it.

/** The error for a factory that a framework has called with a request. */
function forgottenCallError(name, cause) {
  const options = cause instanceof Error ? { cause } : undefined
  return new TypeError(`call site.${name}(): it returns what the framework needs, so pass site.${name}() with the parentheses`, options)
}

/** Throws if a framework has called a factory that takes no arguments. */
function refuseArguments(name, input) {
  if (input.length > 0) throw forgottenCallError(name)
}

module.exports = { forgottenCallError, refuseArguments }
