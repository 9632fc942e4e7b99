'use strict'

// The base class of results: frozen, and without secrets or personal data when shown.

const { inspect } = require('#host')
const { dateOf, refuseClones } = require('./value.cjs')

/** Immutable members. Secret ones are non-enumerable: they can be read by name, but do not show up in iteration. */
class Record {
  /** The kind of each member: `plain`, `time`, `personal` (shown only if it is accessed by name), `secret`, or the class of a record. */
  static members = {}

  /** A record from the values of the native half, in the order of the members. */
  static of(values) {
    const record = Object.create(this.prototype)
    const { names, kinds, isSecret } = planOf(this)
    // Tokens are verified by the thousand: a member that is assigned costs a fifth of one that is defined.
    for (let at = 0; at < names.length; at += 1) {
      const value = valueOf(values[at], kinds[at])
      if (kinds[at] === 'secret') Object.defineProperty(record, names[at], { value, enumerable: false })
      else record[names[at]] = value
    }
    if (isSecret) refuseClones(record, () => `a ${this.name} holds secrets: hand over what is needed of it`)
    return Object.freeze(record)
  }

  constructor() {
    throw new TypeError(`a ${new.target.name} comes from a server`)
  }

  /** The members that may be shown. */
  toJSON() {
    const kinds = Object.entries(this.constructor.members)
    const shown = ([name, kind]) => [name, kind === 'secret' && this[name] !== undefined ? '[redacted]' : this[name]]
    return Object.fromEntries(kinds.map(shown))
  }

  [inspect.custom](depth, options) {
    const said = Object.entries(this.toJSON()).filter(([, value]) => value !== undefined)
    const { members } = this.constructor
    const shown = said.map(([name, value]) => [name, members[name] === 'personal' ? '[personal]' : namesOf(value)])
    return `${this.constructor.name} ${inspect(Object.fromEntries(shown), options)}`
  }
}

/** Of members that a server chose the names: they are about a person more often than not. */
const namesOf = (value) => {
  const isPlain = Object.prototype.toString.call(value) === '[object Object]' && !(value instanceof Record)
  return isPlain ? new Set(Object.keys(value)) : value
}

/** The members of a class of records, computed once. */
function planOf(Class) {
  let plan = plans.get(Class)
  if (plan === undefined) {
    const kinds = Object.values(Class.members)
    plan = { names: Object.keys(Class.members), kinds, isSecret: kinds.includes('secret') }
    plans.set(Class, plan)
  }
  return plan
}

const plans = new Map()

/** A member as it is shown; the most are absent, or texts. */
function valueOf(told, kind) {
  if (told === null || told === undefined) return undefined
  if (kind === 'time') return dateOf(told)
  if (typeof kind === 'function') return kind.of(told)
  return typeof told === 'object' ? deepFreeze(told) : told
}

function deepFreeze(value) {
  if (typeof value !== 'object' || value === null) return value
  for (const inner of Object.values(value)) {
    if (typeof inner === 'object') deepFreeze(inner)
  }
  return Object.freeze(value)
}

module.exports = { Record }
