'use strict'

// Handles each request ("visit") of a site: runs the native half, calls the application's functions, and forwards API calls.

const { siteCallbacks } = require('../callbacks.cjs')
const { errorFromNative, callNative } = require('../errors.cjs')
const { TOO_LARGE } = require('./body.cjs')
const { joinFields } = require('./fields.cjs')
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
  #visiting = new Map()
  #visits = 0

  constructor(options, providers) {
    this.#options = options
    this.#providers = new SiteProviders(options, providers)
    this.#native = this.#build(providers)
  }

  #build(providers) {
    const { nativeStore, nativeNetwork } = this.#options
    const callbacks = {
      admit: (identity, id) => this.#admit(identity, id),
      find: (lookup, id) => this.#find(lookup, id),
      connect: (id) => this.#providers.connect(id),
    }
    const setup = nativeSetup(this.#options, providers)
    return callNative(() => setup.site(nativeOptions(this.#options), siteCallbacks(callbacks), nativeStore, nativeNetwork))
  }

  /** Whether the site has a page at this path. */
  owns(full) { return this.#native.owns(full) }

  /** Handles a request. */
  async visit({ method, host, target, headers, headerText, body }, { access = this.#options.access, need, request } = {}) {
    const full = this.#options.rootPath + target
    const limit = method === 'GET' ? 0 : this.#native.formLimit(method, full.split('?', 1)[0])
    const form = limit > 0 ? await body?.(limit) : undefined
    if (form === TOO_LARGE) return { reply: { status: 413, headers: [], body: '' } }
    const id = String((this.#visits += 1))
    this.#visiting.set(id, { request })
    const visit = { id, at: Date.now(), method, host: host ?? '', target: full, headers: headerText ?? joinFields(headers), form, access, need }
    try {
      const begun = callNative(() => this.#native.visit(visit))
      // Most requests come from signed-in users, and need nothing else.
      if (typeof begun === 'string') return { user: this.#userOf(begun) }
      const raw = await begun
      const outcome = typeof raw === 'string' ? { session: raw, notes: [] } : raw
      if (this.#providers.thrown && outcome.status === 500 && outcome.notes.some(([code]) => code === THROWN)) throw this.#providers.thrown.error
      return await (outcome.forward ? this.#forwarded(outcome.forward, body, request) : this.#toResult(outcome, request))
    } catch (error) {
      const { failure } = this.#visiting.get(id)
      throw failure === undefined ? errorFromNative(error) : failure.error
    } finally {
      this.#visiting.delete(id)
    }
  }

  /** Forwards a page's call to an API. A failure becomes a 502 rather than an error of the application. */
  async #forwarded(forward, body, request) {
    const content = await body?.(forward.limit)
    if (content === TOO_LARGE) return { reply: { status: 413, headers: [], body: '' } }
    try {
      return await this.#toResult(await callNative(() => forward.send(content, (id, grant) => this.#providers.source(id, grant))), request)
    } catch (error) {
      const { code, message } = errorFromNative(error)
      logNotes(this.#options.log, [[code, message, true]])
      return { reply: { status: 502, headers: [['cache-control', 'no-store']], body: '' } }
    }
  }

  async #toResult({ status, headers, body, problem, signedOut, session, grant, held, notes, stream }, request) {
    logNotes(this.#options.log, notes)
    if (stream) return { reply: { status, headers, body: toReadableStream(stream, status) } }
    if (typeof status === 'number') return { reply: await buildReply(this.#options, { status, headers, body, problem, signedOut }, request) }
    return { user: typeof session === 'string' ? this.#userOf(session, grant, held) : undefined }
  }

  #userOf(session, grant, held) {
    const sessionState = JSON.parse(session)
    return new User(sessionState, () => this.#getApi(sessionState.identity.provider, grant, held), () => held?.end())
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
  async #getApi(id, grant, held) {
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
