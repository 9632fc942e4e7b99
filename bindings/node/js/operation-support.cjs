'use strict'

// Shared by the generated operations in ops.cjs: passing arguments to the native half, and converting results.
// Operations are run, with their timeouts and signals, by exchange.cjs.

const native = require('#native')
const { callNative } = require('./errors.cjs')
const { Exchange } = require('./exchange.cjs')
const { refuseUnknown, checkOptions } = require('./options.cjs')
const { PendingAuthorization, Tokens, nativeTokens, toTokens } = require('./tokens.cjs')
const { checkUnicode } = require('./unicode.cjs')

/** The keys of two methods of a client: one runs an operation to completion, the other returns its exchange. */
const perform = Symbol('perform')
const begin = Symbol('begin')

/** Converters from the native half's final step to the value returned to the caller. */
const toUndefined = () => undefined
const toAuthorization = (raw) => authorization(raw.authorization)
const recordConverter = (Class) => (raw) => Class.of(JSON.parse(raw.members))

/** The URL to send the user to, and the pending flow to store until the callback. */
function authorization({ url, flow, expiresIn, requestObject, warnings }) {
  const pending = new PendingAuthorization(flow)
  const result = { url: new URL(url), flow: pending, expiresIn: expiresIn ?? undefined, warnings }
  // It contains the state, and the other parameters of the request.
  return Object.defineProperty(result, 'requestObject', { value: requestObject ?? undefined, enumerable: false })
}

/** Converts a value to what the native half accepts. */
function toNativeValue(value) {
  if (value instanceof Tokens) return nativeTokens(value)
  if (value instanceof URL) return value.href
  if (typeof value !== 'object' || value === null || value instanceof Date) return value
  if (typeof value[Symbol.iterator] === 'function') return [...value]
  // Own properties only: inherited ones were never passed on purpose.
  return Object.assign(Object.create(null), value)
}

/**
 * The arguments in positional order. An unknown name is refused: it is probably a typo. Arguments listed in `json` are passed as
 * JSON text.
 */
function toPositional({ names, json = [] }, args = {}) {
  if (typeof args !== 'object' || args === null || Array.isArray(args) || args instanceof Tokens) {
    throw new TypeError(`the arguments must be one object: ${names.join(', ')}`)
  }
  refuseUnknown(names, args, 'argument')
  const positional = []
  for (let at = 0; at < names.length; at += 1) {
    const value = args[names[at]]
    // Trailing arguments that were omitted are not passed.
    if (value !== undefined) positional[at] = json.includes(names[at]) ? JSON.stringify(value) : toNativeValue(checkUnicode(value, names[at]))
  }
  // Fills the holes with undefined: reading a hole would consult the prototype.
  return Array.from(positional)
}

/** Begins an operation as an exchange. */
function beginExchange(clientHandle, operation, args, options, assertion) {
  const { moment } = checkOptions('an exchange', options)
  const positional = toPositional(operation, args)
  return new Exchange(callNative(() => clientHandle.begin(operation.number, positional)), operation.finish, moment, assertion)
}

/** The parameters of a token request, in the order of the native half. */
function tokenRequestArguments({ scope, resource, audience, extra, authorizationDetails }) {
  const details = authorizationDetails === undefined ? undefined : JSON.stringify(authorizationDetails)
  return [...[scope, resource, audience, extra].map(toNativeValue), details]
}

/**
 * Checks that both halves were generated from the same list of operations: they refer to operations by number and to arguments by position.
 */
function checkFingerprint(fingerprint) {
  const found = native.fingerprint?.()
  if (found !== fingerprint) {
    const error = new Error('oauth-core and its native half have different versions: reinstall both')
    throw Object.assign(error, { code: 'misuse.setup', advice: 'give_up' })
  }
}

module.exports = {
  checkFingerprint, tokenRequestArguments, authorization, toAuthorization, begin, beginExchange, toPositional, toUndefined, perform, recordConverter, toTokens,
}
