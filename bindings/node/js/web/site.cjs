'use strict'

// `Site`: the sign-in of a web application, with adapters for each framework.

const { inspect } = require('#host')
const { nativeNetwork } = require('../network.cjs')
const { checkOptions } = require('../options.cjs')
const { checkStore } = require('../renewal.cjs')
const { nativeStore } = require('../stores.cjs')
const { User } = require('./user.cjs')
const { OVER, readNeed } = require('./requirements.cjs')
const { createRequired } = require('./site-required.cjs')
const { fromEnvironment } = require('./site-from-env.cjs')
const { readProviders } = require('./settings.cjs')
const express = require('./express.cjs')
const fastify = require('./fastify.cjs')
const hono = require('./hono.cjs')
const standard = require('./standard.cjs')
const sveltekit = require('./sveltekit.cjs')
const { Visits } = require('./visits.cjs')

const ACCESS = ['open', 'silent', 'signed_in']

/** The options of `handle` and `wrap`, with the requirements in the form of the addon. */
function handleOptions(options) {
  const checked = checkOptions('site.handle', options)
  return checked.need === undefined ? checked : { ...checked, need: readNeed(checked.need) }
}

/** The sign-in of a web application; one for the whole application. */
class Site {
  #options
  #providers
  #visits

  constructor(input) {
    const options = checkOptions('Site', input)
    const { access = 'open', admit, errorPage, log, provider, signedOut, store, network } = options
    for (const [name, hook] of Object.entries({ admit, errorPage, log, provider, signedOut })) {
      if (hook !== undefined && typeof hook !== 'function') throw new TypeError(`${name} must be a function`)
    }
    if (!ACCESS.includes(access)) throw new TypeError(`access must be one of ${ACCESS.join(', ')}`)
    checkStore(store)
    this.#options = { ...options, access, nativeStore: store && nativeStore(store), nativeNetwork: nativeNetwork(network), rootPath: options.rootPath ?? '' }
    this.#providers = readProviders(options)
    this.#visits = new Visits(this.#options, this.#providers)
    // Bound, because applications pass them on as functions: as middleware, as a plugin, as routes.
    const bound = { required: createRequired(this), page: (request) => standard.page(this, request), fastify: fastify.plugin(this) }
    for (const [name, value] of Object.entries(bound)) Object.defineProperty(this, name, { value })
  }

  /** Creates a site from environment variables. */
  static fromEnv(options) {
    return new this(fromEnvironment(checkOptions('Site.fromEnv', options)))
  }

  /** The paths of the site's own pages, as the application's router sees them; `*` at the end stands for all paths below. */
  get paths() {
    const { prefix = '/auth' } = this.#options
    const callbackPaths = this.#providers.map(({ callback }) => callback).filter((path) => path && !path.startsWith(`${prefix}/`))
    return [`${prefix}/*`, ...callbackPaths].map((path) => `${this.base}${path}`)
  }

  /** The path below which the site is, as the application's router sees it; empty at the root of its host. */
  get base() {
    const { baseUrl, rootPath } = this.#options
    return new URL([baseUrl].flat()[0]).pathname.replace(/\/$/, '').slice(rootPath.length)
  }

  /** A path of the application as the browser shows it: with `rootPath` in front. */
  full(path) {
    return this.#options.rootPath + path
  }

  /** Whether the site has a page at this path. */
  owns(path) {
    return this.#visits.owns(this.full(path))
  }

  /**
   * Handles a request: returns `{ reply }` if the site responds, or `{ user }` if the application does; a promise of it
   * unless it is known at once. `body` is called with a limit in bytes if the site reads the body, `origin` is an object that
   * no other request has, and `request` is passed to the application's functions.
   */
  visit(parts, options, request) {
    return this.#visits.visit(parts, options, request)
  }

  /**
   * Signs a user in for a test: resolves to the `Cookie` field for later requests. No provider is involved, and there
   * are no tokens. `admit` is called, unless `local` replaces its result.
   */
  async testing(testUser) {
    const options = checkOptions('site.testing', testUser)
    const { subject, provider = this.#providers[0].id, issuer = 'https://as.invalid', claims = {}, acr, authTime, sid, local } = options
    if (subject === undefined) throw new TypeError('subject must be given: the `sub` of the user to sign in')
    const identity = { provider, issuer, subject: String(subject), claims, acr, sid, auth_time: authTime && Math.floor(authTime / 1000) }
    const { headers } = await this.#visits.testing(identity, local)
    const cookies = headers.filter(([name]) => name === 'set-cookie').map(([, field]) => field)
    return cookies.filter((field) => !/max-age=0/i.test(field)).map((field) => field.split(';', 1)[0]).join('; ')
  }

  /** The reply to send if an error thrown by a page says that the user's grant has ended; otherwise `undefined`. */
  async ended(request, user, error) {
    if (!User.isOver(user) || error?.advice !== 'reauthorize') return undefined
    const { reply } = await this.visit(request, OVER)
    return reply
  }

  /** Whether this site has found this user in the request with this `origin`. */
  isUserOf(origin, user) {
    return User.isOf(user, this.#visits, origin)
  }

  /** The handler for standard requests: resolves to a `Response` to send, or to the user. */
  async handle(request, options) { return standard.handle(this, request, handleOptions(options)) }
  /** The site's own pages, as route handlers. */
  get routes() { return { GET: this.page, POST: this.page, PUT: this.page, PATCH: this.page, DELETE: this.page } }
  /** Wraps a request handler, so that the site handles each request first. */
  wrap(handler, options) { return standard.wrap(this, handler, handleOptions(options)) }
  /** Middleware for Hono. */
  hono(...input) { return hono.createMiddleware(this, input) }
  /** Middleware for Express, Connect, and `node:http`. */
  express(...input) { return express.createMiddleware(this, input) }
  /** The error handler for Express: sends a user whose grant has ended to sign in. Express passes errors to functions of four parameters. */
  expressErrors(error, request, response, next) { return express.createErrorHandler(this, [error, request, response, next]) }
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
