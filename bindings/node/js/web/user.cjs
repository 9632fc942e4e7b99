'use strict'

// The user: the person who is signed in, as an application sees them.

const { inspect } = require('#host')
const { dateOf, refuseClones } = require('../value.cjs')

const notCloned = () => 'a User belongs to the request it came with: hand over what you need of it'
const date = (seconds) => (seconds === undefined || seconds === null ? undefined : dateOf(seconds))

/** Whom a provider vouched for, as the application is asked about them. */
function identityOf({ provider, issuer, subject, sid, auth_time: authTime, acr, claims = {} }) {
  return { provider, issuer, subject, sid, authTime: date(authTime), acr, claims }
}

/** Who is signed in. */
class User {
  #apiOf
  #end
  #isOver = false
  #leave
  #session

  constructor(session, apiOf, end) {
    if (typeof session?.identity !== 'object') throw new TypeError('users come with requests')
    const { identity, local = {}, started_at: startedAt, until, scope = '', tenant } = session
    Object.assign(this, identityOf(identity), {
      local, startedAt: date(startedAt), until: date(until), scope: scope.split(' ').filter(Boolean), tenant: tenant ?? undefined,
    })
    this.#end = end
    this.#session = session
    this.#apiOf = apiOf
    Object.freeze(refused(this))
  }

  /** What the provider calls them; the subject where it says no name. */
  get name() {
    const { name, preferred_username: username } = this.claims
    return [name, username].find((text) => typeof text === 'string' && text !== '') ?? this.subject
  }

  /** Their address, as the provider has it: it may be unverified, and be another's tomorrow. */
  get email() {
    return typeof this.claims.email === 'string' ? this.claims.email : undefined
  }

  /** `fetch` with this person's access token, renewed if need be, to the origins of the provider's API only. */
  async fetch(input, init) {
    return this.#calling(({ api }) => api.fetch(input, init))
  }

  /** This person's tokens, fresh now. */
  async token(options) {
    return this.#calling(({ source }) => source.token(options))
  }

  /** Ends this person's session, wherever it is used, and its grant; one that lives in its cookie alone stays. */
  async end() {
    await this.#end()
  }

  /** Once the grant has ended, so has the session. */
  async #calling(call) {
    try {
      return await call(await this.#apiOf())
    } catch (error) {
      if (error?.advice === 'reauthorize') {
        this.#isOver = true
        await this.#end()
        await this.#leave?.(error)
      }
      throw error
    }
  }

  /** Whether a call has found that this person's grant has ended. */
  static isOver(user) {
    return user instanceof User && user.#isOver
  }

  /** The user, for pages from which an error leads nowhere: `leave` throws what their framework goes by instead. */
  static leaving(user, leave) {
    user.#leave = leave
    return user
  }

  /** The session as plain data, in the words of the protocol. */
  toJSON() {
    return this.#session
  }

  [inspect.custom](depth, options) {
    return `User ${inspect({ provider: this.provider, issuer: this.issuer }, options)}`
  }
}

function refused(user) {
  refuseClones(user, notCloned)
  return user
}

/** What `admit` returns to keep somebody out; the reason is shown to them. */
class Refuse {
  constructor(reason = '') {
    this.reason = String(reason)
  }
}

module.exports = { Refuse, User, identityOf }
