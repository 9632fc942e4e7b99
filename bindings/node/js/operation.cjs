'use strict'

// What the operations of ops.cjs share.

const native = require('#native')
const { lifted } = require('./errors.cjs')
const { Exchange } = require('./exchange.cjs')
const { only, optionsOf } = require('./options.cjs')
const { PendingAuthorization, Tokens, nativeTokens, tokensOf } = require('./tokens.cjs')
const { checkUnicode } = require('./unicode.cjs')

/** The methods that a client has for them: one that runs to the end, and one that begins an exchange. */
const perform = Symbol('perform')
const begin = Symbol('begin')

/** What becomes of the last step of the native half. */
const nothing = () => undefined
const authorizationOf = (raw) => authorization(raw.authorization)
const recordOf = (Class) => (raw) => Class.of(JSON.parse(raw.members))

/** Where to send the person, and what to keep meanwhile. */
function authorization({ url, flow, expiresIn, requestObject, warnings }) {
  const begun = { url: new URL(url), flow: new PendingAuthorization(flow), expiresIn: expiresIn ?? undefined, warnings }
  // It holds the state, and whatever else the request says.
  return Object.defineProperty(begun, 'requestObject', { value: requestObject ?? undefined, enumerable: false })
}

/** A value as the native half reads it. */
function plain(value) {
  if (value instanceof Tokens) return nativeTokens(value)
  if (value instanceof URL) return value.href
  if (typeof value !== 'object' || value === null || value instanceof Date) return value
  if (typeof value[Symbol.iterator] === 'function') return [...value]
  // Its own members alone: nobody asked for what a prototype has.
  return Object.assign(Object.create(null), value)
}

/** The arguments by their places: who names one that there is not has mistyped another. Those of `json` cross as texts. */
function inOrder({ names, json = [] }, args = {}) {
  if (typeof args !== 'object' || args === null || Array.isArray(args) || args instanceof Tokens) {
    throw new TypeError(`the arguments are one object: ${names.join(', ')}`)
  }
  only(names, args, 'argument')
  const given = []
  for (let at = 0; at < names.length; at += 1) {
    const value = args[names[at]]
    // What is left out behind the last that is given need not cross.
    if (value !== undefined) given[at] = json.includes(names[at]) ? JSON.stringify(value) : plain(checkUnicode(value, names[at]))
  }
  // Without holes, which would be looked for in the prototype.
  return Array.from(given)
}

/** An exchange of this operation. */
function exchangeOf(known, operation, args, options, assertion) {
  const { moment } = optionsOf('an exchange', options)
  const given = inOrder(operation, args)
  return new Exchange(lifted(() => known.begin(operation.number, given)), operation.finish, moment, assertion)
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

module.exports = {
  agree, asking, authorization, authorizationOf, begin, exchangeOf, inOrder, nothing, perform, recordOf, tokensOf,
}
