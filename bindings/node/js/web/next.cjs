'use strict'

// Next.js: sites created while pages are built, when variables may be missing.

const { optionsOf } = require('../options.cjs')
const { fromEnvironment } = require('./environment.cjs')
const { Site: Plain } = require('./site.cjs')
const { Refuse, User } = require('./user.cjs')

/** A key that is nowhere else. */
function anyKey() {
  const bytes = globalThis.crypto.getRandomValues(new Uint8Array(32))
  return btoa(String.fromCharCode(...bytes)).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')
}

/** The variables, with placeholders for those missing at build time, when no request can arrive. */
function madeUp(variables) {
  const { OAUTH_CLIENT_FILE: file, OAUTH_PROVIDER: provider } = variables
  return {
    OAUTH_BASE_URL: 'https://build.invalid',
    OAUTH_KEY: anyKey(),
    ...(file ? {} : { OAUTH_CLIENT_ID: 'build', OAUTH_CLIENT_SECRET: 'build' }),
    ...(file || provider ? {} : { OAUTH_ISSUER: 'https://as.invalid' }),
    ...Object.fromEntries(Object.entries(variables).filter(([, value]) => value)),
  }
}

/** A site of Next.js: whoever is not signed in is led to the login page as Next.js does it. */
class Site extends Plain {
  #redirect

  constructor({ redirect, ...options } = {}) {
    if (redirect !== undefined && typeof redirect !== 'function') throw new TypeError('redirect must be a function')
    super(options)
    this.#redirect = redirect
  }

  /**
   * `next build` loads modules where no server runs, and often without its variables: those that are missing there are made
   * up. The server loads them again, and says what is missing.
   */
  static fromEnv({ redirect, ...options } = {}) {
    const env = process.env.NEXT_PHASE === 'phase-production-build' ? madeUp(options.env ?? process.env) : options.env
    return new this({ redirect, ...fromEnvironment(optionsOf('Site.fromEnv', { ...options, env })) })
  }

  async leave(location) {
    const redirect = this.#redirect ?? require('next/navigation').redirect
    return redirect(location)
  }
}

module.exports = { Refuse, Site, User }
