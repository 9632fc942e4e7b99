'use strict'

// Fixed tokens, which are never renewed.

const { fileURLToPath, inspect } = require('#host')
const native = require('#native')
const { Source } = require('./api.cjs')
const { errorFromNative, callNative } = require('./errors.cjs')
const { checkLimit, waitFor } = require('./exchange.cjs')
const { lineOf } = require('./network.cjs')
const { optionsOf } = require('./options.cjs')
const { Server, isLoopback, nativeServer } = require('./server.cjs')
const { Tokens, nativeTokens, secondsOf } = require('./tokens.cjs')
const { checkUnicode } = require('./unicode.cjs')

const { NativeFixedToken } = native

/** Reads a fixed token from its place: a string, a variable, a file or a function. */
const places = {
  text(token, end) {
    const known = NativeFixedToken.text(token, end)
    return (refused) => known.read(refused)
  },
  env(name, end) {
    const known = NativeFixedToken.env(name, end)
    return (refused) => known.read(refused)
  },
  file(path, end) {
    const known = NativeFixedToken.file(path instanceof URL ? fileURLToPath(path) : path, end)
    return (refused) => known.readFile(refused)
  },
  callback(ask, end) {
    if (typeof ask !== 'function') throw new TypeError('callback must be a function')
    return async (refused) => {
      const token = await ask()
      if (typeof token !== 'string') throw new TypeError('callback must give the text of a token')
      checkUnicode(token, 'token')
      return NativeFixedToken.text(token, end).read(refused)
    }
  },
}

function readerOf(token, end) {
  const [[place, value] = [], ...more] = Object.entries(typeof token === 'string' ? { text: token } : token ?? {})
  if (!Object.hasOwn(places, place ?? '') || more.length > 0) {
    throw new TypeError('token must be a string, or one of { env }, { file } and { callback }')
  }
  checkUnicode(value, 'token')
  return callNative(() => places[place](value, end))
}

/** A single token that came from no grant. It is never renewed; what is no text at hand is read again each time. */
class FixedToken extends Source {
  #read

  constructor(read, place, options) {
    if (typeof read !== 'function') throw new TypeError('fixed tokens come from fixedToken')
    super(place, options)
    this.#read = read
  }

  /** The token that is there now. */
  async token(options) {
    return this.#now(undefined, options)
  }

  /** Another token, if one stands there by now. */
  async renew(refused, options) {
    return this.#now(nativeTokens(refused), options)
  }

  async #now(refused, options) {
    const { signal, timeoutMs } = optionsOf('a call', options)
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

/** A source of one token that was created manually, or is kept fresh elsewhere. */
function fixedToken(token, options) {
  const { origins = [], expiresAt, transport, network, fetch } = optionsOf('fixedToken', options)
  const read = readerOf(token, secondsOf(expiresAt))
  const line = { fetch: lineOf(network, fetch).apiFetch }
  if (origins instanceof Server) return new FixedToken(read, { server: nativeServer(origins) }, line)
  return new FixedToken(read, { loopback: isLoopback(transport) }, { origins, ...line })
}

module.exports = { FixedToken, fixedToken }
