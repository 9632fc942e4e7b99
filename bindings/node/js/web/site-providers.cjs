'use strict'

// The providers of a site, and the token sources of their users.

const { isShared } = require('#host')
const { Client } = require('../client.cjs')
const { OAuthError } = require('../errors.cjs')
const { fixedToken } = require('../fixed-token.cjs')
const { Grants } = require('../grants.cjs')
const { kindError } = require('../kinds.cjs')
const { Tokens } = require('../tokens.cjs')
const { nativeSetup, setupError } = require('./settings.cjs')

/** The code of a visit in which a function of the application threw. */
const THROWN = 'application.function'

/** The token sources of the users of a client. In Workers, where requests cannot wait for each other, each request creates its own. */
function createGrants(client, store) {
  return isShared ? new Grants(client, store) : { get: (grant) => new Grants(client, store).get(grant) }
}

/** The providers of a site. */
class SiteProviders {
  #options
  #providers
  #apis = new WeakMap()
  #connected = new Map()
  /** The last error thrown by a provider's `client` function. */
  thrown

  constructor(options, providers) {
    this.#options = options
    this.#providers = providers
    for (const provider of providers) if (provider.client instanceof Client) this.know(provider)
  }

  /** Whether a provider is configured in the site's options, rather than looked up. */
  isFixed(id) {
    return this.#providers.some((provider) => provider.id === id)
  }

  /** Whether the client of a provider is known. */
  has(id) {
    return this.#connected.has(id)
  }

  /** The token source of a grant. */
  source(id, grant) {
    return this.#connected.get(id)?.grants?.get(grant)
  }

  /** Adds a provider, with the token sources of its users. */
  know(provider) {
    const { store } = this.#options
    const before = this.#connected.get(provider.id)
    if (before?.provider.client === provider.client) return
    this.#connected.set(provider.id, { provider, grants: store && createGrants(provider.client, store) })
  }

  /** Remembers a provider that the application has looked up, and returns it for the addon. */
  found(provider) {
    if (provider === undefined || provider === null) return undefined
    if (!(provider.client instanceof Client)) throw new TypeError('provider must return { id, client, ... }, or nothing')
    this.know(provider)
    return nativeSetup(this.#options, [provider])
  }

  /** Calls the `client` function of a provider, once for all requests that wait, and returns the client for the addon. */
  async connect(id) {
    const provider = this.#providers.find((provider) => provider.id === id)
    try {
      this.thrown = undefined
      const client = await provider.client()
      if (!(client instanceof Client)) throw kindError('client must be a Client, or a function that returns one', client)
      this.know({ ...provider, client })
      return { setup: nativeSetup(this.#options, [{ ...provider, client }]) }
    } catch (error) {
      if (error instanceof OAuthError) {
        const { code, message, cause, retryAfter, url } = error
        const why = cause?.message ?? message
        return { failed: { code, why: url === undefined ? why : `${url}: ${why}`, retryAfter } }
      }
      // The visit rethrows what the application's function threw.
      this.thrown = { error }
      return { failed: { code: THROWN, why: 'the client function threw' } }
    }
  }

  /** The API of a provider with one user's tokens, and their source. */
  getApi(id, grant, held) {
    const { provider, grants } = this.#connected.get(id) ?? {}
    if (!held || !provider) throw setupError('sessions have tokens only if the site has a store')
    const { apiOrigins: origins, client } = provider
    if (typeof grant !== 'string') {
      const { accessToken, expiresAt } = new Tokens(held.tokens)
      const { transport, network } = this.#options
      const source = fixedToken(accessToken, { origins: origins ?? client.server, expiresAt, transport, network })
      return { source, api: source.api({ origins }) }
    }
    const source = grants.get(grant)
    if (!this.#apis.has(source)) this.#apis.set(source, source.api({ origins }))
    return { source, api: this.#apis.get(source) }
  }
}

module.exports = { SiteProviders, THROWN }
