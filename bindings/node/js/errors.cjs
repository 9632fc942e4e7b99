'use strict'

const native = require('./native.cjs')

/** What went wrong in a conversation, and whose fault it was. `code` is the same in every language. */
class OAuthError extends Error {
  constructor(record, options) {
    super(record.message, options)
    this.code = record.code
    this.kind = record.kind
    this.advice = record.advice
    this.retryAfter = record.retry_after ?? undefined
    this.endpoint = record.endpoint ?? undefined
    this.status = record.status ?? undefined
    this.error = record.error ?? undefined
    this.errorDescription = record.error_description ?? undefined
    this.extra = record.extra ?? {}
  }
}

/** The server understood and said no. */
class Denied extends OAuthError {}
/** The server, or whatever answered in its place, broke the protocol. */
class Malformed extends OAuthError {}
/** A check failed: never act on what was said. */
class Untrusted extends OAuthError {}
/** No answer arrived. */
class Lost extends OAuthError {}
/** The caller asked for what must not or cannot be done. */
class Misuse extends OAuthError {}

const classes = { denied: Denied, malformed: Malformed, untrusted: Untrusted, lost: Lost, misuse: Misuse }
for (const known of [OAuthError, ...Object.values(classes)]) {
  Object.defineProperty(known.prototype, 'name', { value: known.name, configurable: true, writable: true })
}

const MARK = 'oauth-core:'

/** A native error as the class it belongs to; `cause` is what the transport said, if it was ours. */
function lift(error, cause) {
  const text = error instanceof Error ? error.message : ''
  if (text.startsWith(MARK)) {
    const record = JSON.parse(text.slice(MARK.length))
    const under = cause ?? (record.cause === undefined ? undefined : new Error(record.cause))
    return new classes[record.kind](record, under === undefined ? undefined : { cause: under })
  }
  // An argument the addon could not read.
  return error?.code === 'InvalidArg' || /Expected$/.test(error?.code ?? '') ? new TypeError(text) : error
}

/** Calls the addon, and throws what it throws as it should look. */
function lifted(call, cause) {
  try {
    return call()
  } catch (error) {
    const raised = lift(error, cause)
    if (raised instanceof OAuthError) Error.captureStackTrace(raised, lifted)
    throw raised
  }
}

/** The error of a wait that took too long. */
function overdue(what, cause) {
  return lift(new Error(native.overdueError(what)), cause)
}

module.exports = { OAuthError, Denied, Malformed, Untrusted, Lost, Misuse, lift, lifted, overdue }
