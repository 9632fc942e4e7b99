'use strict'

// Helpers for plain values: dates, disposal, and objects that must not be cloned.

/** The method that `await using` calls. Compilers use this name for runtimes that do not support it yet. */
const asyncDispose = Symbol.asyncDispose ?? Symbol.for('Symbol.asyncDispose')

/**
 * Makes `structuredClone` and `postMessage` reject this object with a `DataCloneError`. They would copy no private
 * members, so the copy would be empty. They throw for a property that is a function, and quote its source text.
 */
function refuseClones(object, explanation) {
  Object.defineProperty(object, 'notCloned', { value: explanation, enumerable: true })
}

/** The last millisecond that a `Date` can represent (ECMA-262 section 21.4.1.1). */
const MAX_DATE_MS = 8.64e15

/** Converts Unix seconds to a `Date`; a later time than any `Date` can represent becomes the last one. */
const toDate = (seconds) => new Date(Math.min(seconds * 1000, MAX_DATE_MS))

module.exports = { asyncDispose, toDate, refuseClones }
