'use strict'

// The `Site` of Next.js, which can also be created during `next build`, when environment variables may be missing.

const { checkOptions } = require('../options.cjs')
const { fromEnvironment } = require('./site-from-env.cjs')
const { Site: BaseSite } = require('./site.cjs')
const { Refuse, User } = require('./user.cjs')

/** A random key, for builds without environment variables. */
function randomKey() {
  const bytes = globalThis.crypto.getRandomValues(new Uint8Array(32))
  return btoa(String.fromCharCode(...bytes)).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')
}

/** The variables, with placeholders for those missing at build time, when no request can arrive. */
function withPlaceholders(variables) {
  const { OAUTH_CLIENT_FILE: file, OAUTH_PROVIDER: provider } = variables
  return {
    OAUTH_BASE_URL: 'https://build.invalid',
    OAUTH_KEY: randomKey(),
    ...(file ? {} : { OAUTH_CLIENT_ID: 'build', OAUTH_CLIENT_SECRET: 'build' }),
    ...(file || provider ? {} : { OAUTH_ISSUER: 'https://as.invalid' }),
    ...Object.fromEntries(Object.entries(variables).filter(([, value]) => value)),
  }
}

/** A site that redirects with the `redirect` function of Next.js. */
class Site extends BaseSite {
  #redirect

  constructor({ redirect, ...options } = {}) {
    if (redirect !== undefined && typeof redirect !== 'function') throw new TypeError('redirect must be a function')
    super(options)
    this.#redirect = redirect
  }

  /**
   * `next build` loads modules without a running server, and often without its variables: placeholders replace missing
   * ones. The server loads the modules again, and then reports missing variables.
   */
  static fromEnv({ redirect, ...options } = {}) {
    const env = process.env.NEXT_PHASE === 'phase-production-build' ? withPlaceholders(options.env ?? process.env) : options.env
    return new this({ redirect, ...fromEnvironment(checkOptions('Site.fromEnv', { ...options, env })) })
  }

  async leave(location) {
    const redirect = this.#redirect ?? require('next/navigation').redirect
    return redirect(location)
  }
}

module.exports = { Refuse, Site, User }
