'use strict'

// Helpers for plain values: dates, disposal, and objects that must not be cloned.

/** The method that `await using` calls. Compilers use this name for runtimes that do not support it yet. */
const asyncDispose = Symbol.asyncDispose ?? Symbol.for('Symbol.asyncDispose')

/**
 * Has `structuredClone` and `postMessage` refuse this object with a `DataCloneError`. They copy own properties and no
 * private ones, so the copy would be an empty object; for a function among them they throw, and quote it.
 */
function refuseClones(object, instead) {
  Object.defineProperty(object, 'notCloned', { value: instead, enumerable: true })
}

/** The last millisecond that a `Date` can represent (ECMA-262 section 21.4.1.1). */
const LAST = 8.64e15

/** The date of Unix seconds; for a time that no `Date` can represent, the last one. */
const dateOf = (seconds) => new Date(Math.min(seconds * 1000, LAST))

module.exports = { asyncDispose, dateOf, refuseClones }
