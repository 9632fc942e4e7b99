'use strict'

const { inspect } = require('node:util')
const native = require('./native.cjs')
const { lifted } = require('./errors.cjs')
const { checkLimit, perform, wait } = require('./exchange.cjs')
const { fresh, launched } = require('./keep.cjs')
const { Keeper } = require('./keeper.cjs')
const { nativeTokens } = require('./tokens.cjs')

/**
 * One grant, kept fresh: a thousand callers with a stale token make one request, which is finished
 * and kept even if all of them have gone. With a store, that holds for everyone who shares it.
 */
class TokenSource {
  #keeper
  #transport
  #job
  #origins
  #loopback

  constructor(keeper, { transport, store, onTokens, origins, loopback }) {
    if (!(keeper instanceof Keeper)) throw new TypeError('sources come from a client')
    if (onTokens !== undefined && typeof onTokens !== 'function') throw new TypeError('onTokens must be a function')
    this.#keeper = keeper
    this.#transport = transport
    this.#job = { store, onTokens, run: (exchange) => perform(exchange, transport) }
    this.#origins = origins
    this.#loopback = loopback
  }

  /** The name of the record in a store. */
  get key() {
    return this.#keeper.key
  }

  /** A token that is fresh now. */
  async token({ signal, timeoutMs } = {}) {
    signal?.throwIfAborted()
    checkLimit(timeoutMs)
    return wait(fresh(this.#keeper, undefined, this.#job), { signal, timeoutMs })
  }

  /** A token to take the place of one that was refused; without a request if that has happened already. */
  async renew(dead, { signal, timeoutMs } = {}) {
    signal?.throwIfAborted()
    checkLimit(timeoutMs)
    return wait(fresh(this.#keeper, dead, this.#job), { signal, timeoutMs })
  }

  /** Forgets exactly this token. */
  invalidate(dead) {
    this.#keeper.refuse(dead)
  }

  /** Takes the tokens of a new login, and stores them. */
  async logIn(tokens) {
    this.#keeper.replace(tokens)
    while (!this.#keeper.isStored) {
      // One may have been under way before: what counts is what is stored then.
      await launched(this.#keeper, this.#keeper.ask(), this.#job)?.catch(() => {})
      const { trouble } = this.#keeper
      if (trouble) throw trouble
    }
  }

  /**
   * `fetch` with the token attached, to allowed origins only. A 401 about the token is answered
   * once with a new one, if the body can be sent again.
   */
  async fetch(input, init = {}) {
    const { url, method, headers, body, stream, signal } = await requestOf(input, init)
    const trip = lifted(() => new native.NativeTrip(this.#origins, this.#loopback, method, url, headers, body))
    lifted(() => trip.check())
    const fetch = this.#transport.fetch ?? globalThis.fetch
    let tokens = await this.token({ signal })
    for (;;) {
      const parcel = lifted(() => trip.pack(nativeTokens(tokens)))
      const reply = await fetch(parcel.url, {
        ...rest(init),
        method,
        headers: parcel.headers,
        body: stream ?? (body?.length ? body : undefined),
        ...(stream && { duplex: 'half' }),
        redirect: 'manual',
        signal,
      })
      switch (trip.after(reply.status, [...reply.headers])) {
        case 'renew':
          await drop(reply)
          tokens = await this.renew(tokens, { signal })
          break
        case 'follow':
          await drop(reply)
          break
        case 'over_and_dead':
          this.invalidate(tokens)
          return reply
        default:
          return reply
      }
    }
  }

  [inspect.custom]() {
    return 'TokenSource {}'
  }
}

const drop = (reply) => reply.body?.cancel().catch(() => {})

/** What of `init` is not this module's own to decide. */
function rest({ method, headers, body, redirect, signal, duplex, ...others }) {
  return others
}

/** Any input of `fetch` in plain parts: a body is either bytes, or a stream that is sent once. */
async function requestOf(input, init) {
  const request = typeof input === 'object' && 'url' in input ? input : undefined
  const text = request ? request.url : String(input)
  const headers = new Headers(init.headers ?? request?.headers)
  const method = (init.method ?? request?.method ?? 'GET').toUpperCase()
  const signal = init.signal ?? request?.signal ?? undefined
  const given = init.body ?? request?.body ?? undefined
  // One text is both checked and sent.
  const parts = { url: URL.canParse(text) ? new URL(text).href : text, method, signal }
  if (isStream(given)) return { ...parts, headers: [...headers], stream: given }
  const carrier = new Response(given)
  const type = carrier.headers.get('content-type')
  if (type && !headers.has('content-type')) headers.set('content-type', type)
  const body = new Uint8Array(await carrier.arrayBuffer())
  return { ...parts, headers: [...headers], body }
}

function isStream(body) {
  return typeof body === 'object' && body !== null && (body instanceof ReadableStream || Symbol.asyncIterator in body)
}

module.exports = { TokenSource }
