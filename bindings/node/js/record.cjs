'use strict'

// The base class of results: frozen, and without secrets or personal data when shown.

const { inspect } = require('#host')
const { dateOf, refuseClones } = require('./value.cjs')

/** Immutable members. Secret ones are non-enumerable: they can be read by name, but do not show up in iteration. */
class Record {
  /** What each member is: `plain`, `time`, `personal` (shown to those who ask by name) or `secret`. */
  static members = {}

  /** A record of what the native half tells, in the order of the members. */
  static of(values) {
    const record = Object.create(this.prototype)
    let at = 0
    let isSecret = false
    // Tokens are verified by the thousand: a member that is assigned costs a fifth of one that is defined.
    for (const name of Object.keys(this.members)) {
      const kind = this.members[name]
      const told = values[at] ?? undefined
      const value = kind === 'time' && told !== undefined ? dateOf(told) : deepFreeze(told)
      if (kind === 'secret') {
        isSecret = true
        Object.defineProperty(record, name, { value, enumerable: false })
      } else {
        record[name] = value
      }
      at += 1
    }
    if (isSecret) refuseClones(record, () => `a ${this.name} holds secrets: hand over what is needed of it`)
    return Object.freeze(record)
  }

  constructor() {
    throw new TypeError(`a ${new.target.name} comes from a server`)
  }

  /** What may be shown. */
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
const namesOf = (value) => Object.prototype.toString.call(value) === '[object Object]' ? new Set(Object.keys(value)) : value

function deepFreeze(value) {
  if (typeof value !== 'object' || value === null) return value
  for (const inner of Object.values(value)) {
    if (typeof inner === 'object') deepFreeze(inner)
  }
  return Object.freeze(value)
}

module.exports = { Record }
