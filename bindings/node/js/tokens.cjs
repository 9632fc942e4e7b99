'use strict'

// `Tokens`: the tokens of one grant, and `PendingAuthorization`: a login that awaits its callback.

const { inspect } = require('#host')
const native = require('#native')
const { callNative } = require('./errors.cjs')
const { kindError } = require('./kinds.cjs')
const { checkOptions } = require('./options.cjs')
const { checkText, textOrUrl } = require('./paths.cjs')
const { Uncloneable } = require('./value.cjs')

/** The native half of some tokens. */
let nativeTokens

/** Tokens from the strings that the addon returns: the access token, the result of `serialize`, and the codes of the warnings. */
let tokensFromTexts

/** The tokens that an exchange returns. */
const toTokens = (raw) => tokensFromTexts(raw.tokens, raw.claims)

const date = (seconds) => (seconds === undefined || seconds === null ? undefined : new Date(seconds * 1000))

/** A date in Unix seconds, for the addon. */
function toSeconds(date) {
  if (date === undefined) return undefined
  if (!(date instanceof Date) || Number.isNaN(date.getTime())) throw new TypeError('expiresAt must be a Date')
  return Math.max(0, Math.floor(date.getTime() / 1000))
}

/** Whether a value is what `toJSON` of tokens or of a flow returns, which is without secrets. */
const isRedacted = (value) => value?.accessToken === '[redacted]' || (value?.startedAt !== undefined && value.redirectUri !== undefined)

/** The value of a JSON text; `undefined` for any other text. */
function jsonOf(text) {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** Checks what was stored: a session that is kept as JSON holds only what `toJSON` returns, unless the application serializes first. */
function serializedText(text, what) {
  const isObject = typeof text === 'object' && text !== null
  if (isObject || (typeof text === 'string' && isRedacted(jsonOf(text)))) {
    throw kindError(`the text of serialize() must be stored, not ${what} as JSON, which has no secrets`, text)
  }
  return checkText(text, 'text')
}

/** The placeholder for the native half of tokens that the addon returned as strings. */
const AS_TEXTS = Symbol('texts')

/** The tokens of one grant. Neither `console.log` nor `JSON.stringify` shows them. */
class Tokens extends Uncloneable {
  #handle
  #texts
  #claims

  constructor(handle) {
    if (handle !== AS_TEXTS && !(handle instanceof native.NativeTokens)) {
      throw new TypeError('Tokens must be created by a grant, Tokens.bearer or Tokens.deserialize')
    }
    super()
    this.#handle = handle === AS_TEXTS ? undefined : handle
  }

  static {
    nativeTokens = (tokens) => {
      if (typeof tokens !== 'object' || tokens === null || !(#handle in tokens)) {
        throw kindError('tokens must be Tokens of this package: store the text of serialize(), and read that with Tokens.deserialize', tokens)
      }
      return (tokens.#handle ??= native.NativeTokens.deserialize(tokens.#texts[1]))
    }
    tokensFromTexts = (texts, claims) => {
      const tokens = new Tokens(AS_TEXTS)
      tokens.#texts = texts
      tokens.#claims = claims
      return tokens
    }
  }

  /** A token without a grant, for your own sources and for tests. */
  static bearer(accessToken, options) {
    const { expiresAt } = checkOptions('Tokens.bearer', options)
    return new Tokens(callNative(() => native.NativeTokens.bearer(checkText(accessToken, 'accessToken'), toSeconds(expiresAt))))
  }

  static deserialize(text) {
    return new Tokens(callNative(() => native.NativeTokens.deserialize(serializedText(text, 'Tokens'))))
  }

  /** Reads a member each time it is accessed; the value is a copy that the caller may change. */
  #read(name) {
    return JSON.parse(nativeTokens(this).members())[name] ?? undefined
  }

  get accessToken() { return this.#texts?.[0] ?? this.#read('accessToken') }
  get tokenType() { return this.#read('tokenType') }
  get expiresIn() { return this.#read('expiresIn') }
  get expiresAt() { return date(this.#read('expiresAt')) }
  get refreshTokenExpiresAt() { return date(this.#read('refreshTokenExpiresAt')) }
  get authorizationExpiresAt() { return date(this.#read('authorizationExpiresAt')) }
  get receivedAt() { return date(this.#read('receivedAt')) }
  get scope() { return this.#read('scope') }
  get refreshToken() { return this.#read('refreshToken') }
  get idToken() { return this.#read('idToken') }
  get claims() { return this.#claims === undefined ? undefined : JSON.parse(this.#claims) }
  get extra() { return this.#read('extra') }
  /** The granted `authorization_details` (RFC 9396). */
  get authorizationDetails() {
    const granted = callNative(() => nativeTokens(this).authorizationDetails())
    return granted === undefined || granted === null ? undefined : JSON.parse(granted)
  }

  get warnings() { return this.#texts?.slice(2) ?? this.#read('warnings') }
  get issuer() { return this.#read('issuer') }
  get clientId() { return this.#read('clientId') }

  /** The requested `authorization_details` that were not granted. */
  missingAuthorizationDetails(requested) {
    return JSON.parse(callNative(() => nativeTokens(this).missingAuthorizationDetails(JSON.stringify(requested) ?? '')))
  }

  /** The tokens as text, to continue with after a restart. The text contains secrets. */
  serialize() {
    return this.#texts?.[1] ?? nativeTokens(this).serialize()
  }

  /** The members without secrets, for `console.log`. */
  toJSON() {
    const hidden = (value) => (value === undefined ? undefined : '[redacted]')
    return {
      accessToken: '[redacted]',
      tokenType: this.tokenType,
      expiresIn: this.expiresIn,
      expiresAt: this.expiresAt,
      refreshTokenExpiresAt: this.refreshTokenExpiresAt,
      authorizationExpiresAt: this.authorizationExpiresAt,
      scope: this.scope,
      refreshToken: hidden(this.refreshToken),
      idToken: hidden(this.idToken),
      extra: Object.fromEntries(Object.keys(this.extra).map((name) => [name, '[redacted]'])),
      warnings: this.warnings,
      issuer: this.issuer,
      clientId: this.clientId,
    }
  }

  [inspect.custom](depth, options) {
    return `Tokens ${inspect(this.toJSON(), options)}`
  }
}

/** One login between the authorization URL and its callback. It contains secrets: keep it in the user's session. */
class PendingAuthorization extends Uncloneable {
  #native

  constructor(text) {
    super()
    this.#native = callNative(() => native.NativeFlow.parse(serializedText(text, 'a PendingAuthorization')))
  }

  /** Reads what `serialize()` wrote. */
  static deserialize(text) {
    return new PendingAuthorization(text)
  }

  /** The `state` parameter: the key of this flow when several are pending in one session. */
  get state() { return this.#native.state }
  get issuer() { return this.#native.issuer }
  get redirectUri() { return this.#native.redirectUri }
  get startedAt() { return date(this.#native.startedAt) }

  /** Whether a callback contains this flow's `state`. If not, reject the callback and keep the flow. */
  recognizes(callback) {
    return this.#native.recognizes(textOrUrl(callback, 'callback'))
  }

  /** The flow as text, to be stored with other secrets until the callback. */
  serialize() {
    return callNative(() => this.#native.toJson())
  }

  /** The members without secrets, for `console.log` and for loggers that write JSON. */
  toJSON() {
    return { issuer: this.issuer, redirectUri: this.redirectUri, startedAt: this.startedAt }
  }

  [inspect.custom](depth, options) {
    return `PendingAuthorization ${inspect(this.toJSON(), options)}`
  }

  /** The native half of a flow. */
  static native(flow) {
    if (typeof flow !== 'object' || flow === null || !(#native in flow)) {
      throw kindError('flow must be a PendingAuthorization: store the text of serialize(), and read that with PendingAuthorization.deserialize', flow)
    }
    return flow.#native
  }
}

const nativeFlow = PendingAuthorization.native
delete PendingAuthorization.native

module.exports = { Tokens, PendingAuthorization, nativeFlow, nativeTokens, toSeconds, tokensFromTexts, toTokens }
