'use strict'

// The site of an application: handles each request, calls the application's functions, and keeps people's tokens at hand.

const { channel, inspect, isShared } = require('#host')
const { Client } = require('../client.cjs')
const { OAuthError, lift, lifted } = require('../errors.cjs')
const { fixedToken } = require('../fixed-token.cjs')
const { answersOfSite } = require('../callbacks.cjs')
const { checkStore } = require('../renewal.cjs')
const { nativeNetwork } = require('../network.cjs')
const { optionsOf } = require('../options.cjs')
const { Sessions } = require('../sessions.cjs')
const { inner } = require('../stores.cjs')
const { Tokens } = require('../tokens.cjs')
const { TOO_LARGE } = require('./body.cjs')
const { Refuse, User, identityOf } = require('./user.cjs')
const { OVER } = require('./requirements.cjs')
const { requiredOf } = require('./required.cjs')
const { fromEnvironment, nativeOptions, nativeSetup, providersOf, setup } = require('./settings.cjs')
const express = require('./express.cjs')
const fastify = require('./fastify.cjs')
const hono = require('./hono.cjs')
const standard = require('./standard.cjs')
const sveltekit = require('./sveltekit.cjs')

/** Publishes each note for the log, as `{ code, detail }`. */
const NOTES = channel('oauth-core:web')

/** The code of a visit in which a function of the application threw. */
const THROWN = 'misuse.setup'

const ACCESS = ['open', 'quiet', 'signed_in']

/** The body of an API's response as a stream; empty for a status without a body. */
function streamOf(stream, status) {
  if ([204, 205, 304].includes(status)) {
    stream.cancel()
    return ''
  }
  return new ReadableStream({
    async pull(controller) {
      const chunk = await stream.chunk().catch((error) => {
        throw lift(error)
      })
      if (chunk) return controller.enqueue(chunk)
      controller.close()
    },
    cancel() {
      stream.cancel()
    },
  }, { highWaterMark: 0 })
}

/** The token sources of a client's people. Where requests cannot wait for each other, as in Workers, each makes its own. */
function grantsOf(client, store) {
  return isShared ? new Sessions(client, store) : { get: (grant) => new Sessions(client, store).get(grant) }
}

/** The sign-in of a web application. An application has one. */
class Site {
  #options
  #providers
  #native
  /** The error that a provider's `client` function threw last. */
  #thrown
  #visiting = new Map()
  #visits = 0
  #apis = new WeakMap()
  #people = new Map()
  #known = new WeakMap()

  constructor(given) {
    const options = optionsOf('Site', given)
    const { access = 'open', admit, errorPage, log, provider, store, network } = options
    for (const [name, hook] of Object.entries({ admit, errorPage, log, provider })) {
      if (hook !== undefined && typeof hook !== 'function') throw new TypeError(`${name} must be a function`)
    }
    if (!ACCESS.includes(access)) throw new TypeError(`access must be one of ${ACCESS.join(', ')}`)
    checkStore(store)
    this.#options = { ...options, access, nativeStore: store && inner(store), nativeNetwork: nativeNetwork(network), rootPath: options.rootPath ?? '' }
    this.#providers = providersOf(options)
    for (const known of this.#providers) if (known.client instanceof Client) this.#know(known)
    this.#native = this.#build()
    // All three are handed on by themselves: as middleware, as a plugin, as routes.
    const own = { required: requiredOf(this), page: (request) => standard.page(this, request), fastify: fastify.plugin(this) }
    for (const [name, value] of Object.entries(own)) Object.defineProperty(this, name, { value })
  }

  /** Creates a site from environment variables. */
  static fromEnv(options) {
    return new this(fromEnvironment(optionsOf('Site.fromEnv', options)))
  }

  #build() {
    const { nativeStore, nativeNetwork } = this.#options
    const ours = {
      admit: (identity, id) => this.#admit(identity, id),
      find: (ask, id) => this.#find(ask, id),
      connect: (id) => this.#connect(id),
    }
    const made = nativeSetup(this.#options, this.#providers)
    return lifted(() => made.site(nativeOptions(this.#options), answersOfSite(ours), nativeStore, nativeNetwork))
  }

  /** Remembers a provider, and the token sources of its people. */
  #know(provider) {
    const { store } = this.#options
    const before = this.#people.get(provider.id)
    if (before?.provider.client === provider.client) return
    this.#people.set(provider.id, { provider, sessions: store && grantsOf(provider.client, store) })
  }

  /** Calls the `client` function of a provider, once for all requests that wait, and returns the client for the addon. */
  async #connect(id) {
    const provider = this.#providers.find((one) => one.id === id)
    try {
      this.#thrown = undefined
      const client = await provider.client()
      if (!(client instanceof Client)) throw new TypeError('client must be a Client, or a function that gives one')
      this.#know({ ...provider, client })
      return { setup: nativeSetup(this.#options, [{ ...provider, client }]) }
    } catch (error) {
      if (error instanceof OAuthError) {
        const { code, message, cause, retryAfter } = error
        return { failed: { code, why: cause?.message ?? message, retryAfter } }
      }
      // The visit rethrows what the application's function threw.
      this.#thrown = { error }
      return { failed: { code: THROWN, why: 'the function for a client threw' } }
    }
  }

  /** The paths of the site's own pages, as the application's router sees them; `*` at the end stands for all paths below. */
  get paths() {
    const { baseUrl, prefix = '/auth', rootPath } = this.#options
    const root = new URL([baseUrl].flat()[0]).pathname.replace(/\/$/, '')
    const others = this.#providers.map(({ callback }) => callback).filter((path) => path && !path.startsWith(`${prefix}/`))
    return [`${prefix}/*`, ...others].map((path) => `${root}${path}`.slice(rootPath.length))
  }

  /** A path of the application as the browser shows it: with `rootPath` in front. */
  full(path) {
    return this.#options.rootPath + path
  }

  /** Whether the site has a page at this path. */
  owns(path) {
    return this.#native.owns(this.full(path))
  }

  /**
   * Handles a request: resolves to `{ reply }` if the site responds, or `{ user }` if the application does. `body` is
   * called with a limit in bytes if the site reads the body.
   */
  async visit({ method, host, target, headers, body }, { access = this.#options.access, need, request } = {}) {
    const full = this.full(target)
    const limit = this.#native.formLimit(method, full.split('?', 1)[0])
    const form = limit > 0 ? await body?.(limit) : undefined
    if (form === TOO_LARGE) return { reply: { status: 413, headers: [], body: '' } }
    const id = String((this.#visits += 1))
    this.#visiting.set(id, { request })
    const seen = { id, at: Date.now(), method, host: host ?? '', target: full, headers: [...headers], form, access, need }
    try {
      const told = await lifted(() => this.#native.visit(seen))
      if (this.#thrown && told.status === 500 && told.notes.some(([code]) => code === THROWN)) throw this.#thrown.error
      return await (told.forward ? this.#forwarded(told.forward, body) : this.#told(told))
    } catch (error) {
      const { failure } = this.#visiting.get(id)
      throw failure === undefined ? lift(error) : failure.error
    } finally {
      this.#visiting.delete(id)
    }
  }

  /** Forwards a page's call to an API. A failure becomes a 502, and no error of the application. */
  async #forwarded(forward, body) {
    const given = await body?.(forward.limit)
    if (given === TOO_LARGE) return { reply: { status: 413, headers: [], body: '' } }
    try {
      return await this.#told(await lifted(() => forward.send(given, (id, grant) => this.#people.get(id)?.sessions?.get(grant))))
    } catch (error) {
      const { code, message } = lift(error)
      this.#note(code, message)
      return { reply: { status: 502, headers: [['cache-control', 'no-store']], body: '' } }
    }
  }

  #note(code, detail) {
    this.#options.log?.({ code, detail })
    NOTES.publish({ code, detail })
  }

  async #told({ status, headers, body, problem, session, grant, held, notes, stream }) {
    for (const [code, detail] of notes) this.#note(code, detail)
    if (stream) return { reply: { status, headers, body: streamOf(stream, status) } }
    if (typeof status === 'number') return { reply: await this.#reply({ status, headers, body, problem }) }
    if (typeof session !== 'string') return { user: undefined }
    const known = JSON.parse(session)
    return { user: new User(known, () => this.#apiOf(known.identity.provider, grant, held), () => held?.end()) }
  }

  async #reply({ status, headers, body, problem: text }) {
    const problem = typeof text === 'string' ? JSON.parse(text) : undefined
    const isPage = headers.some(([name, value]) => name === 'content-type' && value.startsWith('text/html'))
    const { errorPage } = this.#options
    if (problem === undefined || !isPage || errorPage === undefined) return { status, headers, body, problem }
    const others = headers.filter(([name]) => name !== 'content-type' && name !== 'content-security-policy')
    const page = String(await errorPage({ ...problem, status }))
    return { status, headers: [...others, ['content-type', 'text/html; charset=utf-8']], body: page, problem }
  }

  #admit(identity, id) {
    return this.#own(id, async (request) => {
      const said = this.#visiting.get(id)?.local ?? (await this.#options.admit?.(identityOf(identity), request))
      if (said instanceof Refuse) return { refused: said.reason }
      if (said === undefined || said === null) return {}
      if (typeof said !== 'object' || Array.isArray(said)) throw new TypeError('admit gives an object, nothing, or a Refuse')
      return { record: JSON.stringify(said) }
    })
  }

  /** Calls the application's `provider` function, and returns its result for the addon. */
  #find(ask, id) {
    return this.#own(id, async (request) => {
      const named = Object.entries(ask).map(([name, value]) => [name, value ?? undefined])
      const found = (await this.#options.provider?.(Object.fromEntries(named), request)) ?? undefined
      if (found === undefined) return undefined
      if (!(found.client instanceof Client)) throw new TypeError('provider gives { id, client, ... }, or nothing')
      this.#know(found)
      return nativeSetup(this.#options, [found])
    })
  }

  /** Calls a function of the application, and remembers what it throws: the visit rethrows it unchanged. */
  async #own(id, ask) {
    const visit = this.#visiting.get(id)
    try {
      return await ask(visit?.request)
    } catch (error) {
      if (visit) visit.failure = { error }
      throw error
    }
  }

  /** The API of a provider with one person's tokens. */
  async #apiOf(id, grant, held) {
    if (held && !this.#people.has(id)) await this.#seek(id)
    const { provider, sessions } = this.#people.get(id) ?? {}
    if (!held || !provider) throw setup('who signed in is kept, and no tokens')
    const { apiOrigins: origins, client } = provider
    if (typeof grant !== 'string') {
      const { accessToken, expiresAt } = new Tokens(held.tokens)
      const { transport, network } = this.#options
      const source = fixedToken(accessToken, { origins: origins ?? client.server, expiresAt, transport, network })
      return { source, api: source.api({ origins }) }
    }
    const source = sessions.get(grant)
    if (!this.#apis.has(source)) this.#apis.set(source, source.api({ origins }))
    return { source, api: this.#apis.get(source) }
  }

  /** Makes a provider known that this process has not needed yet, or that another process has looked up. */
  async #seek(id) {
    if (!this.#providers.some((one) => one.id === id)) return this.#find({ id, host: '', path: '/' })
    try {
      await lifted(() => this.#native.connect(id, Date.now()))
    } catch (error) {
      throw this.#thrown?.error ?? lift(error)
    }
  }

  /**
   * Signs a person in for a test: resolves to the `Cookie` field for later requests. No provider is involved, and there
   * are no tokens. `admit` is called, unless `local` gives its result.
   */
  async testing(somebody) {
    const given = optionsOf('site.testing', somebody)
    const { subject, provider = this.#providers[0].id, issuer = 'https://as.invalid', claims = {}, acr, authTime, sid, local } = given
    if (subject === undefined) throw new TypeError('subject must be a text: who is signed in')
    const identity = { provider, issuer, subject: String(subject), claims, acr, sid, auth_time: authTime && Math.floor(authTime / 1000) }
    const id = String((this.#visits += 1))
    this.#visiting.set(id, { local })
    const { headers } = await lifted(() => this.#native.testing(JSON.stringify(identity), id)).catch((error) => {
      throw this.#visiting.get(id).failure?.error ?? lift(error)
    }).finally(() => this.#visiting.delete(id))
    const cookies = headers.filter(([name]) => name === 'set-cookie').map(([, field]) => field)
    return cookies.filter((field) => !/max-age=0/i.test(field)).map((field) => field.split(';', 1)[0]).join('; ')
  }

  /** The reply to send if an error thrown by a page says that the user's grant has ended; otherwise `undefined`. */
  async ended(request, user, error) {
    if (!User.isOver(user) || error?.advice !== 'reauthorize') return undefined
    const { reply } = await this.visit(request, OVER)
    return reply
  }

  /** Remembers the user of a request for the next adapter that handles it. */
  remember(request, user) {
    this.#known.set(request, user)
  }

  remembered(request) {
    return this.#known.get(request)
  }

  /** The handler for standard requests: resolves to a `Response` to send, or to the user. */
  async handle(request, options) { return standard.handle(this, request, optionsOf('site.handle', options)) }
  /** The site's own pages, as route handlers. */
  get routes() { return { GET: this.page, POST: this.page } }
  /** Wraps a request handler, so that the site handles each request first. */
  wrap(handler, options) { return standard.wrap(this, handler, optionsOf('site.handle', options)) }
  /** Middleware for Hono. */
  hono() { return hono.middleware(this) }
  /** Middleware for Express, Connect, and `node:http`. */
  express() { return express.middleware(this) }
  /** The error handler for Express: sends a user whose grant has ended to sign in. */
  expressErrors() { return express.errors(this) }
  /** The `handle` hook of SvelteKit. */
  sveltekit(options) { return sveltekit.handle(this, options) }

  /** Redirects by throwing a `Response`; an adapter replaces this if its framework redirects in another way. */
  async leave(location) {
    throw new Response(null, { status: 303, headers: { location, 'x-remix-reload-document': 'true' } })
  }

  [inspect.custom](depth, options) {
    return `Site ${inspect({ baseUrl: String([this.#options.baseUrl].flat()[0]) }, options)}`
  }
}

module.exports = { Site }
