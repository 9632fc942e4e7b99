'use strict'

const { Site: Plain } = require('./site.cjs')
const { Refuse, User } = require('./user.cjs')

/** A site of Next.js: whoever is not signed in is led to the login page as Next.js does it. */
class Site extends Plain {
  #redirect

  constructor({ redirect, ...options } = {}) {
    if (redirect !== undefined && typeof redirect !== 'function') throw new TypeError('redirect must be a function')
    super(options)
    this.#redirect = redirect
  }

  async leave(location) {
    const redirect = this.#redirect ?? require('next/navigation').redirect
    return redirect(location)
  }
}

module.exports = { Refuse, Site, User }
