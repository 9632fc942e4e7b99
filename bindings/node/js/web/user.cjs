'use strict'

// `User`: the signed-in user, with their claims, tokens and a `fetch` to the provider's API.

const { inspect } = require('#host')
const { copyOfError, OAuthError } = require('../errors.cjs')
const { Uncloneable, toDate } = require('../value.cjs')

const date = (seconds) => (seconds === undefined || seconds === null ? undefined : toDate(seconds))

/** The identity that a provider has authenticated, as passed to `admit`. */
function toIdentity({ provider, issuer, subject, sid, auth_time: authTime, acr, claims = {} }) {
  return { provider, issuer, subject, sid, authTime: date(authTime), acr, claims }
}

/** The signed-in user. */
class User extends Uncloneable {
  #getApi
  #end
  #isOver = false
  #leave
  #session

  constructor(session, getApi, end) {
    if (typeof session?.identity !== 'object') throw new TypeError('a User cannot be constructed: the site creates one for each request')
    super()
    const { identity, local = {}, started_at: startedAt, until: expiresAt, scope = '', tenant } = session
    const { provider, issuer, subject, sid, authTime, acr, claims } = toIdentity(identity)
    // One by one, which is faster than Object.assign: there is a User for each request.
    this.provider = provider
    this.issuer = issuer
    this.subject = subject
    this.sid = sid
    this.authTime = authTime
    this.acr = acr
    this.claims = claims
    this.local = local
    this.startedAt = date(startedAt)
    this.until = date(expiresAt)
    this.scope = scope.split(' ').filter(Boolean)
    this.tenant = tenant ?? undefined
    this.#end = end
    this.#session = session
    this.#getApi = getApi
    Object.freeze(this)
  }

  /** The name at the provider, or else the subject. */
  get name() {
    const { name, preferred_username: username } = this.claims
    return [name, username].find((text) => typeof text === 'string' && text !== '') ?? this.subject
  }

  /** The email address at the provider. It may be unverified, and may be reassigned: never identify users by it. */
  get email() {
    return typeof this.claims.email === 'string' ? this.claims.email : undefined
  }

  /** `fetch` with this user's access token, renewed if necessary. Only the origins of the provider's API get it. */
  async fetch(input, init) {
    return await this.#callWithGrant(({ api }) => api.fetch(input, init))
  }

  /** This user's tokens, fresh now. */
  async token(options) {
    return await this.#callWithGrant(({ source }) => source.token(options))
  }

  /** Ends this user's session on all devices that share it, and its grant. A session that exists only in its cookie cannot be ended. */
  async end() {
    await this.#end()
  }

  /** Makes a call with the user's grant, and ends the session if the grant turns out to have ended. */
  async #callWithGrant(call) {
    try {
      return await call(await this.#getApi())
    } catch (error) {
      if (error?.advice === 'reauthorize') {
        this.#isOver = true
        await this.#end()
        await this.#leave?.(error)
      }
      // Express and Fastify would answer the visitor with the status of the token endpoint.
      throw error instanceof OAuthError && error.status !== undefined ? copyOfError(error, { status: undefined }) : error
    }
  }

  /** Whether a call has found that this user's grant has ended. */
  static isOver(user) {
    return user instanceof User && user.#isOver
  }

  /** Sets `leave`, which is called when the grant has ended and throws the framework's own redirect; for frameworks in which an error cannot become one. */
  static setLeave(user, leave) {
    user.#leave = leave
    return user
  }

  /** The session as plain data, with the names of the protocol. */
  toJSON() {
    return this.#session
  }

  [inspect.custom](depth, options) {
    return `User ${inspect({ provider: this.provider, issuer: this.issuer }, options)}`
  }
}

/** The value with which `admit` refuses a user; the reason is shown to them. */
class Refuse {
  constructor(reason = '') {
    this.reason = String(reason)
  }
}

module.exports = { Refuse, User, toIdentity }
