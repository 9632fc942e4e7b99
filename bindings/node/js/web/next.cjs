'use strict'

const { randomBytes } = require('node:crypto')
const { optionsOf } = require('../options.cjs')
const { fromEnvironment } = require('./settings.cjs')
const { Site: Plain } = require('./site.cjs')
const { Refuse, User } = require('./user.cjs')

/** What stands for variables that are not there while pages are built, when nobody can come. */
const IN_A_BUILD = {
  OAUTH_ISSUER: 'https://as.invalid', OAUTH_CLIENT_ID: 'build', OAUTH_CLIENT_SECRET: 'build', OAUTH_BASE_URL: 'https://build.invalid',
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
   * up. The server loads them anew, and says what is missing.
   */
  static fromEnv({ redirect, ...options } = {}) {
    const variables = options.env ?? process.env
    if (process.env.NEXT_PHASE !== 'phase-production-build') return this.#of(redirect, options)
    const key = randomBytes(32).toString('base64url')
    const made = { ...IN_A_BUILD, OAUTH_KEY: key, ...variables }
    return this.#of(redirect, { ...options, env: variables.OAUTH_PROVIDER ? { ...made, OAUTH_ISSUER: undefined } : made })
  }

  static #of(redirect, options) {
    return new this({ redirect, ...fromEnvironment(optionsOf('Site.fromEnv', options)) })
  }

  async leave(location) {
    const redirect = this.#redirect ?? require('next/navigation').redirect
    return redirect(location)
  }
}

module.exports = { Refuse, Site, User }
