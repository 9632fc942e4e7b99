'use strict'

// `FixedToken`: a source of one token that is never renewed, such as a personal access token.

const { fileURLToPath, inspect } = require('#host')
const native = require('#native')
const { Source } = require('./api.cjs')
const { errorFromNative, callNative } = require('./errors.cjs')
const { checkLimit, waitFor } = require('./exchange.cjs')
const { selectTransport } = require('./network.cjs')
const { checkOptions } = require('./options.cjs')
const { Server, isLoopback, nativeServer } = require('./server.cjs')
const { Tokens, nativeTokens, toSeconds } = require('./tokens.cjs')
const { checkUnicode } = require('./unicode.cjs')

const { NativeFixedToken } = native

/** Readers of a fixed token by its origin: a string, an environment variable, a file or a function. */
const readers = {
  text(token, expiresAtSeconds) {
    const tokenHandle = NativeFixedToken.text(token, expiresAtSeconds)
    return (refused) => tokenHandle.read(refused)
  },
  env(name, expiresAtSeconds) {
    const tokenHandle = NativeFixedToken.env(name, expiresAtSeconds)
    return (refused) => tokenHandle.read(refused)
  },
  file(path, expiresAtSeconds) {
    const tokenHandle = NativeFixedToken.file(path instanceof URL ? fileURLToPath(path) : path, expiresAtSeconds)
    return (refused) => tokenHandle.readFile(refused)
  },
  callback(fetchToken, expiresAtSeconds) {
    if (typeof fetchToken !== 'function') throw new TypeError('callback must be a function')
    return async (refused) => {
      const token = await fetchToken()
      if (typeof token !== 'string') throw new TypeError('callback must return a string')
      checkUnicode(token, 'token')
      return NativeFixedToken.text(token, expiresAtSeconds).read(refused)
    }
  },
}

function createReader(token, expiresAtSeconds) {
  const [[origin, value] = [], ...more] = Object.entries(typeof token === 'string' ? { text: token } : token ?? {})
  if (!Object.hasOwn(readers, origin ?? '') || more.length > 0) {
    throw new TypeError('token must be a string, or one of { env }, { file } and { callback }')
  }
  checkUnicode(value, 'token')
  return callNative(() => readers[origin](value, expiresAtSeconds))
}

/** A single token without a grant. It is never renewed; a variable, file or function is read again for each request. */
class FixedToken extends Source {
  #read

  constructor(read, target, options) {
    if (typeof read !== 'function') throw new TypeError('a FixedToken must be created with fixedToken')
    super(target, options)
    this.#read = read
  }

  /** The current token. */
  async token(options) {
    return this.#current(undefined, options)
  }

  /** The current token, if it is no longer the refused one. */
  async renew(refused, options) {
    return this.#current(nativeTokens(refused), options)
  }

  async #current(refused, options) {
    const { signal, timeoutMs } = checkOptions('a call', options)
    signal?.throwIfAborted()
    checkLimit(timeoutMs)
    try {
      return new Tokens(await waitFor(Promise.resolve(this.#read(refused)), { signal, timeoutMs }))
    } catch (error) {
      throw errorFromNative(error)
    }
  }

  /** Does nothing: the token is read again each time anyway. */
  invalidate(refused) {
    nativeTokens(refused)
  }

  [inspect.custom]() {
    return 'FixedToken {}'
  }
}

/** A source of one token that was created by hand, or is kept fresh by another program. */
function fixedToken(token, options) {
  const { origins = [], expiresAt, transport, network, fetch } = checkOptions('fixedToken', options)
  const read = createReader(token, toSeconds(expiresAt))
  const requestTransport = { fetch: selectTransport(network, fetch).apiFetch }
  if (origins instanceof Server) return new FixedToken(read, { server: nativeServer(origins) }, requestTransport)
  return new FixedToken(read, { loopback: isLoopback(transport) }, { origins, ...requestTransport })
}

module.exports = { FixedToken, fixedToken }
