'use strict'

const { inspect } = require('node:util')
const native = require('./native.cjs')
const { lifted } = require('./errors.cjs')
const { Exchange, checkLimit, perform, wait } = require('./exchange.cjs')
const { keep } = require('./keep.cjs')
const { Tokens, nativeTokens } = require('./tokens.cjs')

const finish = (raw) => new Tokens(raw.tokens)

/**
 * One grant, kept fresh: a thousand callers with a stale token make one request, which is finished
 * and kept even if all of them have gone. With a store, that holds for everyone who shares it.
 */
class TokenSource {
  #keeper
  #transport
  #store
  #onTokens
  #origins
  #loopback
  #latest
  #flight

  constructor(keeper, { transport, store, onTokens, origins, loopback }) {
    if (!(keeper instanceof native.NativeKeeper)) throw new TypeError('sources come from a client')
    if (onTokens !== undefined && typeof onTokens !== 'function') throw new TypeError('onTokens must be a function')
    this.#keeper = keeper
    this.#transport = transport
    this.#store = store
    this.#onTokens = onTokens
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
    return wait(this.#ask(), { signal, timeoutMs })
  }

  /** A token to take the place of one that was refused; without a request if that has happened already. */
  async renew(dead, { signal, timeoutMs } = {}) {
    signal?.throwIfAborted()
    checkLimit(timeoutMs)
    return wait(this.#ask(dead), { signal, timeoutMs })
  }

  /** Forgets exactly this token. */
  invalidate(dead) {
    this.#keeper.refuse(nativeTokens(dead))
  }

  /** Takes the tokens of a new login, and stores them. */
  async logIn(tokens) {
    lifted(() => this.#keeper.replace(nativeTokens(tokens)))
    while (!this.#keeper.isStored) {
      const flight = this.#flight ?? this.#launched(lifted(() => this.#keeper.ask()))
      // It may have been under way before: what counts is what is stored then.
      await flight?.catch(() => {})
      lifted(() => this.#keeper.throwTrouble())
    }
  }

  async #ask(dead) {
    const held = this.#latest && nativeTokens(this.#latest)
    const turn = lifted(() => this.#keeper.ask(dead === undefined ? undefined : nativeTokens(dead), held))
    const flight = this.#launched(turn)
    // The same tokens are the same object.
    if (turn.held) return this.#latest
    if (turn.tokens) return (this.#latest = new Tokens(turn.tokens))
    return flight
  }

  /** The renewal under way, begun if this turn says so. */
  #launched({ kind }) {
    if (kind === 'renew' || kind === 'hand_out_and_renew') {
      this.#flight = this.#fly().finally(() => {
        this.#flight = undefined
      })
      // Nobody may be waiting for it.
      this.#flight.catch(() => {})
    }
    return this.#flight
  }

  async #fly() {
    const [tokens, isNew] = await keep(this.#keeper, this.#store, (exchange) =>
      perform(new Exchange(exchange, finish), this.#transport))
    this.#latest = tokens
    // Stored before anyone sees it. Should that fail, they are told, and the token is kept.
    if (isNew) await this.#onTokens?.(tokens)
    return tokens
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
