'use strict'

// Helpers for plain values: dates, disposal, and objects that must not be cloned.

/** The method that `await using` calls. Compilers use this name for runtimes that do not support it yet. */
const asyncDispose = Symbol.asyncDispose ?? Symbol.for('Symbol.asyncDispose')

/**
 * The base class of objects that `structuredClone` and `postMessage` reject with a `DataCloneError`: they would copy no
 * private members, so the copy would be empty. They reject every object with an internal slot that they do not know (HTML
 * section 2.7.3), such as a `WeakSet`.
 */
class Uncloneable extends WeakSet {}
// Its instances have the slot, but neither the methods nor the name.
Object.setPrototypeOf(Uncloneable.prototype, Object.prototype)

/**
 * An instance of a class without its constructor, uncloneable as well. Each has a layout of its own, so that adding a member
 * takes hundreds of times as long as in a class derived from `Uncloneable`: for rare results only.
 */
const createUncloneable = (Class) => Reflect.construct(WeakSet, [], Class)

/** The last millisecond that a `Date` can represent (ECMA-262 section 21.4.1.1). */
const MAX_DATE_MS = 8.64e15

/** Converts Unix seconds to a `Date`; a later time than any `Date` can represent becomes the last one. */
const toDate = (seconds) => new Date(Math.min(seconds * 1000, MAX_DATE_MS))

module.exports = { Uncloneable, asyncDispose, createUncloneable, toDate }
