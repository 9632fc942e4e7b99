'use strict'

// The base class of results: frozen, and without secrets or personal data when shown.

const { inspect } = require('#host')
const { dateOf, refuseClones } = require('./value.cjs')

/** Plain members that do not change. What is secret is read by name alone: nothing that walks over members meets it. */
class Record {
  /** What each member is: `plain`, `time`, `personal` (shown to those who ask by name) or `secret`. */
  static members = {}

  /** A record of what the native half tells, in the order of the members. */
  static of(values) {
    const record = Object.create(this.prototype)
    const kinds = Object.entries(this.members)
    kinds.forEach(([name, kind], at) => {
      const told = values[at] ?? undefined
      const value = kind === 'time' && told !== undefined ? dateOf(told) : deepFreeze(told)
      Object.defineProperty(record, name, { value, enumerable: kind !== 'secret' })
    })
    if (kinds.some(([, kind]) => kind === 'secret')) {
      refuseClones(record, () => `a ${this.name} holds secrets: hand over what is needed of it`)
    }
    return Object.preventExtensions(record)
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
  if (typeof value === 'object' && value !== null) Object.values(Object.freeze(value)).forEach(deepFreeze)
  return value
}

module.exports = { Record }
