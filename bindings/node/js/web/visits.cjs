'use strict'

// Handles each request ("visit") of a site: runs the native half, calls the application's functions, and forwards API calls.

const { siteCallbacks } = require('../callbacks.cjs')
const { errorFromNative, callNative } = require('../errors.cjs')
const { withBody } = require('./body.cjs')
const { joinHead } = require('./fields.cjs')
const { logNotes } = require('./notes.cjs')
const { SiteProviders, THROWN } = require('./site-providers.cjs')
const { buildReply, toReadableStream } = require('./reply.cjs')
const { nativeOptions, nativeSetup } = require('./settings.cjs')
const { Refuse, User, toIdentity } = require('./user.cjs')

/** The visits of a site. */
class Visits {
  #options
  #providers
  #native
  #begin
  #visiting = new Map()
  #visits = 0

  constructor(options, providers) {
    this.#options = options
    this.#providers = new SiteProviders(options, providers)
    this.#native = this.#build(providers)
    this.#begin = this.#native.beginner()
  }

  #build(providers) {
    const callbacks = {
      admit: (identity, id) => this.#admit(identity, id),
      find: (lookup, id) => this.#find(lookup, id),
      connect: (id) => this.#providers.connect(id),
    }
    const setup = nativeSetup(this.#options, providers)
    return callNative(() => setup.site(nativeOptions(this.#options), siteCallbacks(callbacks), this.#options.nativeStore, this.#options.nativeNetwork))
  }

  /** Whether the site has a page at this path. */
  owns(full) { return this.#native.owns(full) }

  /** Handles a request: returns the outcome if it is known at once, otherwise a promise of it. */
  visit(parts, { access = this.#options.access, need } = {}, request) {
    const target = this.#options.rootPath + parts.target
    const limit = parts.method === 'GET' ? 0 : this.#native.formLimit(parts.method, target.split('?', 1)[0])
    const begin = (form) => {
      const session = callNative(() => this.#begin(Date.now(), joinHead(access, target, parts), form, need))
      // Most requests come from signed-in users, and need nothing else.
      return session === null ? this.#proceed(parts, request) : { user: this.#userOf(session, parts) }
    }
    return limit > 0 ? withBody(parts, limit, begin) : begin()
  }

  /** Continues the visit that has just begun. */
  async #proceed(parts, request) {
    const id = String((this.#visits += 1))
    this.#visiting.set(id, { request })
    try {
      const outcome = await callNative(() => this.#native.proceed(id))
      if (this.#providers.thrown && outcome.status === 500 && outcome.notes.some(([code]) => code === THROWN)) throw this.#providers.thrown.error
      const { forward } = outcome
      return await (forward ? withBody(parts, forward.limit, (content) => this.#forwarded(forward, content, parts, request)) : this.#toResult(outcome, parts, request))
    } catch (error) {
      const { failure } = this.#visiting.get(id)
      throw failure === undefined ? errorFromNative(error) : failure.error
    } finally {
      this.#visiting.delete(id)
    }
  }

  /** Forwards a page's call to an API. A failure becomes a 502 rather than an error of the application. */
  async #forwarded(forward, content, parts, request) {
    try {
      return await this.#toResult(await callNative(() => forward.send(content, (id, grant) => this.#providers.source(id, grant))), parts, request)
    } catch (error) {
      const { code, message } = errorFromNative(error)
      logNotes(this.#options.log, [[code, message, true]])
      return { reply: { status: 502, headers: [['cache-control', 'no-store']], body: '' } }
    }
  }

  async #toResult({ status, headers, body, problem, signedOut, session, grant, held, notes, stream }, parts, request) {
    logNotes(this.#options.log, notes)
    if (stream) return { reply: { status, headers, body: toReadableStream(stream, status) } }
    if (typeof status === 'number') return { reply: await buildReply(this.#options, { status, headers, body, problem, signedOut }, request) }
    return { user: typeof session === 'string' ? this.#userOf(session, parts, grant, held) : undefined }
  }

  #userOf(session, { origin }, grant, held) {
    return new User(JSON.parse(session), this, origin, grant, held)
  }

  #admit(identity, id) {
    return this.#callApplication(id, async (request) => {
      const decision = this.#visiting.get(id)?.local ?? (await this.#options.admit?.(toIdentity(identity), request))
      if (decision instanceof Refuse) return { refused: decision.reason }
      if (decision === undefined || decision === null) return {}
      if (typeof decision !== 'object' || Array.isArray(decision)) throw new TypeError('admit must return an object, nothing, or a Refuse')
      return { record: JSON.stringify(decision) }
    })
  }

  /** Calls the application's `provider` function, and returns its result for the addon. */
  #find(lookup, id) {
    return this.#callApplication(id, async (request) => {
      const providerLookup = Object.fromEntries(Object.entries(lookup).map(([name, value]) => [name, value ?? undefined]))
      return this.#providers.found(await this.#options.provider?.(providerLookup, request))
    })
  }

  /** Calls a function of the application, and stores its error, so that the visit can rethrow it unchanged. */
  async #callApplication(id, callback) {
    const visit = this.#visiting.get(id)
    try {
      return await callback(visit?.request)
    } catch (error) {
      if (visit) visit.failure = { error }
      throw error
    }
  }

  /** The API of a provider with one user's tokens. */
  async getApi(id, grant, held) {
    if (held && !this.#providers.has(id)) await this.#findProvider(id)
    return this.#providers.getApi(id, grant, held)
  }

  /** Looks up a provider that this process has not used yet; a different process may have signed the user in. */
  async #findProvider(id) {
    if (!this.#providers.isFixed(id)) return this.#find({ id, host: '', path: '/' })
    try {
      await callNative(() => this.#native.connect(id, Date.now()))
    } catch (error) {
      throw this.#providers.thrown?.error ?? errorFromNative(error)
    }
  }

  /** Signs a user in for a test, and resolves to the response that sets the cookies. */
  async testing(identity, local) {
    const id = String((this.#visits += 1))
    this.#visiting.set(id, { local })
    return callNative(() => this.#native.testing(JSON.stringify(identity), id)).catch((error) => {
      throw this.#visiting.get(id).failure?.error ?? errorFromNative(error)
    }).finally(() => this.#visiting.delete(id))
  }
}

module.exports = { Visits }
