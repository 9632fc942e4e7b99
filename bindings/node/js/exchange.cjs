'use strict'

const { inspect } = require('node:util')
const { late, lift, lifted, OAuthError } = require('./errors.cjs')
const { lossOf } = require('./loss.cjs')

/** What is read of a reply, in bytes. */
const LIMIT = 1 << 20
/** How long a request may take, and the longest any timer can wait, in milliseconds. */
const TIMEOUT = 30_000
const MAX_TIMER = 2 ** 31 - 1

/** A few kilobytes of a compressed reply can stand for gigabytes: better none. One that comes all the same is read up to the limit. */
const AS_IT_IS = [['accept-encoding', 'identity']]
/** What some servers send all the same, and costs little to unpack: not Brotli, whose window may be 16 MiB. */
const UNPACKED = new Set(['', 'identity', 'gzip', 'x-gzip', 'deflate'])
/** Frameworks patch `fetch` to cache what it brings; not every runtime knows the option, and some throw for it. */
const UNCACHED = 'cache' in Request.prototype ? { cache: 'no-store' } : {}

const natives = new WeakMap()

/** What to do next. `console.log` shows neither header values nor a body. */
class Step {
  constructor(members) {
    Object.assign(this, members)
  }

  [inspect.custom](depth, options) {
    const shown = { kind: this.kind }
    if (this.kind === 'send') {
      shown.method = this.method
      shown.url = this.url.split('?', 1)[0]
      shown.headers = this.headers.map(([name]) => name)
      shown.bodyBytes = this.body.length
    } else if (this.kind === 'sleep') {
      shown.ms = this.ms
    } else if (this.kind === 'sign') {
      shown.keyId = this.keyId
      shown.alg = this.alg
    }
    return `Step ${inspect(shown, options)}`
  }
}

function stepOf(exchange, raw) {
  const { finish } = natives.get(exchange)
  switch (raw.kind) {
    case 'send': {
      const { kind, method, url, headers, body } = raw
      return new Step({ kind, method, url, headers, body })
    }
    case 'sleep':
      return new Step({ kind: raw.kind, ms: raw.ms })
    case 'sign': {
      const { kind, keyId, alg, signingInput } = raw
      return new Step({ kind, keyId, alg, signingInput })
    }
    default:
      return new Step({ kind: 'done', value: finish(raw) })
  }
}

/** One conversation with an authorization server, held as a value. It opens no socket. */
class Exchange {
  constructor(known, finish, moment) {
    if (typeof finish !== 'function') throw new TypeError('exchanges come from client.exchange')
    natives.set(this, { known, finish, moment: checkMoment(moment) })
  }

  begin() { return this.#step((known, at) => known.begin(at)) }

  reply({ status, headers, body }) {
    const pairs = headers instanceof Array ? headers : [...headers]
    return this.#step((known, at) => known.reply(at, status, pairs, body ?? new Uint8Array()))
  }

  /** No answer arrived. `reach` says how far the request came, `loss` why, where that is known. */
  lost(reason, reach = 'unknown', loss = undefined) {
    const cause = reason instanceof Error ? reason : undefined
    return this.#step((known, at) => known.lost(at, textOf(reason), reach, loss), cause)
  }

  elapsed() { return this.#step((known, at) => known.elapsed(at)) }
  signed(signature) { return this.#step((known, at) => known.signed(at, signature)) }

  #step(answer, cause) {
    const { known, moment } = natives.get(this)
    const at = momentOf(moment)
    return stepOf(this, lifted(() => answer(known, at), cause))
  }
}

/** A function that gives moments, or none. */
function checkMoment(moment) {
  if (moment !== undefined && typeof moment !== 'function') throw new TypeError('moment must be a function')
  return moment
}

/** The moment of one step; where there is no function to ask, the addon asks the system. */
function momentOf(moment) {
  if (checkMoment(moment) === undefined) return undefined
  const at = moment()
  if (typeof at !== 'object' || at === null) throw new TypeError('a moment is { now, seed }')
  return at
}

/** The message of a transport's error; never a URL, whose query may hold a code. */
function textOf(reason) {
  if (!(reason instanceof Error)) return String(reason)
  const under = reason.cause instanceof Error ? reason.cause : reason
  return under.code ? `${under.name} ${under.code}` : under.name
}

/** A body of at most 1 MiB, or nothing at all. */
async function bodyOf(reply) {
  const coding = (reply.headers.get('content-encoding') ?? '').trim().toLowerCase()
  if (!UNPACKED.has(coding)) {
    await reply.body?.cancel().catch(() => {})
    throw new Error(`the reply is compressed, which was not asked for: ${coding.slice(0, 40).replace(/[^ -~]/g, '')}`)
  }
  const announced = Number(reply.headers.get('content-length') ?? 0)
  const chunks = []
  let size = 0
  if (announced <= LIMIT) {
    for await (const chunk of reply.body ?? []) {
      size += chunk.length
      if (size > LIMIT) break
      chunks.push(chunk)
    }
  }
  if (announced > LIMIT || size > LIMIT) {
    await reply.body?.cancel().catch(() => {})
    return undefined
  }
  const whole = new Uint8Array(size)
  let at = 0
  for (const chunk of chunks) {
    whole.set(chunk, at)
    at += chunk.length
  }
  return whole
}

/** Calls `work` with a signal that fires with `signal`, or after `ms`. */
async function within(ms, signal, work) {
  const stop = new AbortController()
  const abort = () => stop.abort(signal.reason)
  signal?.addEventListener('abort', abort, { once: true })
  const late = () => stop.abort(new DOMException('no answer in time', 'TimeoutError'))
  const timer = setTimeout(late, Math.min(ms, MAX_TIMER))
  try {
    return await work(stop.signal)
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', abort)
  }
}

async function send(exchange, step, { fetch, signal, limit }) {
  const { url, method, headers, body } = step
  let reply
  let bytes
  try {
    bytes = await within(limit, signal, async (stop) => {
      reply = await fetch(url, {
        method,
        headers: [...headers, ...AS_IT_IS],
        body: body.length > 0 ? body : undefined,
        redirect: 'manual',
        signal: stop,
        ...UNCACHED,
      })
      // A browser tells no more of a redirect than that there was one.
      if (reply.status === 0) throw new Error('an opaque redirect')
      return bodyOf(reply)
    })
  } catch (lost) {
    signal?.throwIfAborted()
    const { reach, loss } = lossOf(lost)
    return exchange.lost(lost, reach, loss)
  }
  if (bytes === undefined) return exchange.lost('the reply is larger than 1 MiB', 'too_large')
  return exchange.reply({ status: reply.status, headers: [...reply.headers], body: bytes })
}

/** Waits no less than this long: timers of Node.js cut what is less than a millisecond. */
function pause(ms, signal, { isIdle = false } = {}) {
  return new Promise((wake, fail) => {
    const end = () => {
      clearTimeout(timer)
      fail(signal.reason)
    }
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', end)
      wake()
    }, Math.min(Math.ceil(ms), MAX_TIMER))
    // The process may end meanwhile.
    if (isIdle) timer.unref()
    signal?.addEventListener('abort', end, { once: true })
  })
}

/** Runs an exchange to its end over any `fetch`. */
async function run(exchange, { fetch = globalThis.fetch, sign, signal, timeoutMs, requestTimeoutMs = TIMEOUT } = {}) {
  const { known } = natives.get(exchange)
  checkLimit(timeoutMs)
  checkLimit(requestTimeoutMs)
  const deadline = timeoutMs === undefined ? Infinity : performance.now() + timeoutMs
  try {
    signal?.throwIfAborted()
    let step = exchange.begin()
    for (;;) {
      signal?.throwIfAborted()
      const left = deadline - performance.now()
      switch (step.kind) {
        case 'send':
          step = left <= 0
            ? exchange.lost('no answer in time', 'unsent')
            : await send(exchange, step, { fetch, signal, limit: Math.min(requestTimeoutMs, left) })
          break
        case 'sleep':
          await pause(Math.min(step.ms, Math.max(left, 0)), signal)
          step = exchange.elapsed()
          break
        case 'sign': {
          const job = step
          const signature = await Promise.resolve().then(() => sign(job)).catch((error) => ({ error }))
          step = signature instanceof Uint8Array
            ? exchange.signed(signature)
            : exchange.lost(signature?.error ?? 'no signature was made', 'unsent')
          break
        }
        default:
          return step.value
      }
    }
  } finally {
    // Whoever waits for this conversation learns that it is over.
    known.cancel()
  }
}

/**
 * Waits for a promise that goes on without us: an abort or the end of our patience rejects the
 * wait, and tells `leave`.
 */
function wait(promise, { signal, timeoutMs }, leave = () => {}) {
  if (!signal && timeoutMs === undefined) return promise
  return new Promise((resolve, reject) => {
    let timer
    const end = () => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', aborted)
    }
    const aborted = () => {
      end()
      leave()
      reject(signal.reason)
    }
    signal?.addEventListener('abort', aborted, { once: true })
    if (timeoutMs !== undefined) {
      timer = setTimeout(() => {
        end()
        leave()
        reject(late())
      }, Math.min(timeoutMs, MAX_TIMER))
    }
    promise.then(
      (value) => { end(); resolve(value) },
      (error) => { end(); reject(error) },
    )
    if (signal?.aborted) aborted()
  })
}

/** Runs an exchange to its end: over the client's `fetch` if it has one, else natively. */
async function perform(exchange, { fetch, network, requestTimeoutMs }, { signal, timeoutMs } = {}) {
  checkLimit(timeoutMs)
  if (fetch) return run(exchange, { fetch, requestTimeoutMs, signal, timeoutMs })
  signal?.throwIfAborted()
  const { known, finish } = natives.get(exchange)
  const raw = lifted(() => known.run(requestTimeoutMs, timeoutMs, network))
  try {
    return finish(await wait(raw, { signal }, () => known.cancel()))
  } catch (error) {
    const raised = lift(error)
    // A stack from here on: the native one is empty.
    if (raised instanceof OAuthError) Error.captureStackTrace(raised)
    throw raised
  }
}

/** A limit as it was given, if it is one. */
function checkLimit(ms, name = 'timeoutMs') {
  if (ms !== undefined && !(typeof ms === 'number' && ms > 0)) {
    throw new TypeError(`${name} must be a positive number of milliseconds`)
  }
  return ms
}

module.exports = { Exchange, Step, run, perform, wait, pause, textOf, checkLimit, momentOf }
