'use strict'

const { pathOf } = require('./paths.cjs')

/** How a client proves who it is with more than a secret: the `clientAuth` of a client. */
class ClientAuth {
  #assertion

  constructor(assertion) {
    this.#assertion = assertion
    Object.freeze(this)
  }

  get method() {
    const { method } = this.#assertion
    return method === 'file' ? 'private_key_jwt' : method
  }

  /** What the native half makes of what was given as `clientAuth`. */
  static of(given) {
    if (given instanceof ClientAuth) return { assertion: given.#assertion }
    if (given !== undefined && typeof given !== 'string') {
      throw new TypeError('clientAuth is a name, or the result of privateKeyJwt, clientSecretJwt or assertionFile')
    }
    return { clientAuth: given }
  }
}

function textOf(value, name) {
  if (typeof value !== 'string') throw new TypeError(`${name} must be a text`)
  return value
}

/** `private_key_jwt` (RFC 7523 section 2.2). */
function privateKeyJwt(key, { alg, kid, certificateThumbprint, audience } = {}) {
  const source = textOf(key, 'key')
  return new ClientAuth({ method: 'private_key_jwt', source, alg, kid, certificateThumbprint, audience })
}

/** `client_secret_jwt` (RFC 7523 section 2.2). */
function clientSecretJwt(secret, { alg, audience } = {}) {
  return new ClientAuth({ method: 'client_secret_jwt', source: textOf(secret, 'secret'), alg, audience })
}

/** A workload's token in a file (RFC 7521 section 4.2). */
function assertionFile(path, { audience, profile, clientId } = {}) {
  return new ClientAuth({ method: 'file', source: pathOf(path), audience, profile, clientId })
}

module.exports = { ClientAuth, assertionFile, clientSecretJwt, privateKeyJwt }
