// Errors: one class for each answer to "whose fault is it?".

/** Anything that goes wrong between this page and an authorization server. */
export class OAuthError extends Error {
  constructor(record) {
    super(record.message, record.cause === undefined ? undefined : { cause: record.cause })
    this.name = new.target.name
    this.code = record.code
    this.advice = record.advice
    this.retryAfter = record.retry_after ?? undefined
    this.endpoint = record.endpoint ?? undefined
    this.status = record.status ?? undefined
    this.error = record.error ?? undefined
    this.errorDescription = record.error_description ?? undefined
    this.extra = record.extra ?? {}
  }
}

/** The server said no. */
export class DeniedError extends OAuthError {}
/** The server broke the protocol. */
export class MalformedError extends OAuthError {}
/** A check failed. */
export class UntrustedError extends OAuthError {}
/** No answer arrived. */
export class LostError extends OAuthError {}
/** The page asked for what must not be. */
export class MisuseError extends OAuthError {}

const classes = {
  denied: DeniedError,
  malformed: MalformedError,
  untrusted: UntrustedError,
  lost: LostError,
  misuse: MisuseError,
}

/** The error that a record of the module's describes. */
export function errorOf(json) {
  const record = JSON.parse(json)
  return new (classes[record.kind] ?? OAuthError)(record)
}
