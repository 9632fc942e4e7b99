'use strict'

// `Record`: the base class of results. They are frozen, and do not show secrets or personal data.

const { inspect } = require('#host')
const { createUncloneable, toDate } = require('./value.cjs')

/** A result with immutable members. Secret members are non-enumerable: they can be read by name, but are not iterated. */
class Record {
  /** The kind of each member: `plain`, `time`, `personal` (shown only if it is accessed by name), `secret`, or the class of a record. */
  static members = {}

  /** A record from the values of the native half, in the order of the members. */
  static of(values) {
    const { names, kinds, isSecret } = getPlan(this)
    const record = isSecret ? createUncloneable(this) : Object.create(this.prototype)
    // For speed: assigning a member takes a fifth of the time of defining it, and tokens are verified by the thousand.
    for (let at = 0; at < names.length; at += 1) {
      const value = convertMember(values[at], kinds[at])
      if (kinds[at] === 'secret') Object.defineProperty(record, names[at], { value, enumerable: false })
      else record[names[at]] = value
    }
    return Object.freeze(record)
  }

  constructor() {
    throw new TypeError(`a ${new.target.name} cannot be constructed: it is the result of a call`)
  }

  /** The members that may be shown. */
  toJSON() {
    const kinds = Object.entries(this.constructor.members)
    const redact = ([name, kind]) => [name, kind === 'secret' && this[name] !== undefined ? '[redacted]' : this[name]]
    return Object.fromEntries(kinds.map(redact))
  }

  [inspect.custom](depth, options) {
    const present = Object.entries(this.toJSON()).filter(([, value]) => value !== undefined)
    const { members } = this.constructor
    const visible = present.map(([name, value]) => [name, members[name] === 'personal' ? '[personal]' : summarize(value)])
    return `${this.constructor.name} ${inspect(Object.fromEntries(visible), options)}`
  }
}

/** Only the names of members that the server chose: their values are mostly personal data. */
const summarize = (value) => {
  const isPlain = Object.prototype.toString.call(value) === '[object Object]' && !(value instanceof Record)
  return isPlain ? new Set(Object.keys(value)) : value
}

/** The members of a class of records, computed once. */
function getPlan(Class) {
  let plan = plans.get(Class)
  if (plan === undefined) {
    const kinds = Object.values(Class.members)
    plan = { names: Object.keys(Class.members), kinds, isSecret: kinds.includes('secret') }
    plans.set(Class, plan)
  }
  return plan
}

const plans = new Map()

/** Converts a value of the native half to that of a member. */
function convertMember(raw, kind) {
  if (raw === null || raw === undefined) return undefined
  if (kind === 'time') return toDate(raw)
  if (typeof kind === 'function') return kind.of(raw)
  return typeof raw === 'object' ? deepFreeze(raw) : raw
}

function deepFreeze(value) {
  if (typeof value !== 'object' || value === null) return value
  for (const inner of Object.values(value)) {
    if (typeof inner === 'object') deepFreeze(inner)
  }
  return Object.freeze(value)
}

module.exports = { Record }
