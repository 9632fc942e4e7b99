'use strict'

// What the operations of ops.cjs share.

const native = require('./native.cjs')
const { lifted } = require('./errors.cjs')
const { Exchange } = require('./exchange.cjs')
const { Tokens, nativeTokens, tokensOf } = require('./tokens.cjs')

/** The methods that a client has for them: one that runs to the end, and one that begins an exchange. */
const perform = Symbol('perform')
const begin = Symbol('begin')

/** What becomes of the last step of the native half. */
const nothing = () => undefined
const recordOf = (Class) => (raw) => Class.of(JSON.parse(raw.members))

/** A value as the native half reads it. */
function plain(value) {
  if (value instanceof Tokens) return nativeTokens(value)
  if (typeof value !== 'object' || value === null || value instanceof Date) return value
  if (typeof value[Symbol.iterator] === 'function') return [...value]
  // Its own members alone: nobody asked for what a prototype has.
  return Object.assign(Object.create(null), value)
}

/** The arguments by their places: who names one that there is not has mistyped another. */
function inOrder(names, args = {}) {
  if (typeof args !== 'object' || args === null || args instanceof Tokens) {
    throw new TypeError(`the arguments are one object: ${names.join(', ')}`)
  }
  for (const name of Object.keys(args)) {
    if (!names.includes(name)) throw new TypeError(`${name}: there is no such argument`)
  }
  return names.map((name) => plain(args[name]))
}

/** An exchange of this operation. */
function exchangeOf(known, { number, names, finish }, args, moment, assertion) {
  const given = inOrder(names, args)
  return new Exchange(lifted(() => known.begin(number, given)), finish, moment, assertion)
}

/** What tokens are for, as the native half reads it. */
function asking({ scope, resource, audience, extra }) {
  return [scope, resource, audience, extra].map(plain)
}

/** Numbers and places are agreed on between the two halves. */
function agree(fingerprint) {
  const found = native.fingerprint?.()
  if (found !== fingerprint) {
    const error = new Error('oauth-core and its native half are of different releases: install both anew')
    throw Object.assign(error, { code: 'misuse.setup', advice: 'give_up' })
  }
}

module.exports = { agree, asking, begin, exchangeOf, nothing, perform, recordOf, tokensOf }
