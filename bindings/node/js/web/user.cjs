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
  #visits
  #origin
  #session
  #held
  #grant
  #isOver = false
  #leave

  /** The user of this session, found by `visits` in the request with this `origin`; `grant` and `held` lead to its tokens. */
  constructor(session, visits, origin, grant, held) {
    if (typeof session?.identity !== 'object') throw new TypeError('a User cannot be constructed: the site creates one for each request')
    super()
    const { identity } = session
    // One by one, which is faster than Object.assign: there is a User for each request.
    this.provider = identity.provider
    this.issuer = identity.issuer
    this.subject = identity.subject
    this.sid = identity.sid
    this.authTime = date(identity.auth_time)
    this.acr = identity.acr
    this.claims = identity.claims ?? {}
    this.local = session.local ?? {}
    this.startedAt = date(session.started_at)
    this.until = date(session.until)
    this.scope = session.scope ? session.scope.split(' ').filter(Boolean) : []
    this.tenant = session.tenant ?? undefined
    this.#visits = visits
    this.#origin = origin
    this.#session = session
    this.#grant = grant
    this.#held = held
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
    await this.#held?.end()
  }

  /** Makes a call with the user's grant, and ends the session if the grant turns out to have ended. */
  async #callWithGrant(call) {
    try {
      return await call(await this.#visits.getApi(this.provider, this.#grant, this.#held))
    } catch (error) {
      if (error?.advice === 'reauthorize') {
        this.#isOver = true
        await this.end()
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

  /** Whether these visits have found this user in the request with this `origin`. */
  static isOf(user, visits, origin) {
    return user instanceof User && user.#visits === visits && user.#origin === origin && origin !== undefined
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
