'use strict'

// Exchanges, and the driver that runs one over any `fetch`: it follows no redirect and retries nothing. The token
// exchange of RFC 8693 is one of the operations in ops.cjs.

const { idle, inspect, joined } = require('#host')
const native = require('#native')
const { timeoutError, errorFromNative, callNative, OAuthError } = require('./errors.cjs')
const { lossOf } = require('./fetch-errors.cjs')
const { optionsOf } = require('./options.cjs')
const { verified } = require('./webcrypto.cjs')

/** The largest body of a reply, in bytes. */
const LIMIT = 1 << 20
/** How long a request may take, and the longest any timer can wait, in milliseconds. */
const TIMEOUT = 30_000
const MAX_TIMER = 2 ** 31 - 1

/**
 * A few kilobytes of a compressed reply can expand to gigabytes, so no compression is requested. A reply that is
 * compressed nevertheless is read up to the limit.
 */
const AS_IT_IS = [['accept-encoding', 'identity']]
/** The encodings that some servers use although they were not requested, and that are cheap to decompress: not Brotli, whose window may be 16 MiB. */
const UNPACKED = new Set(['', 'identity', 'gzip', 'x-gzip', 'deflate'])
/** Frameworks patch `fetch` to cache its responses; not every runtime supports this option, and some throw for it. */
const UNCACHED = 'cache' in Request.prototype ? { cache: 'no-store' } : {}

let known
/** The names of the response header fields that the core reads. */
const readFields = () => (known ??= native.readFields())

/** A step of an exchange. `console.log` shows neither header values nor a body. */
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

/** A request out of its text. */
function requestOf(text) {
  const end = text.indexOf('\n\n')
  const [method, url, ...fields] = text.slice(0, end).split('\n')
  const headers = []
  for (let at = 0; at < fields.length; at += 2) headers.push([fields[at], fields[at + 1]])
  return { method, url, headers, body: text.slice(end + 2) }
}

function stepOf(raw, finish) {
  if (typeof raw === 'number') return new Step({ kind: 'sleep', ms: raw })
  if (typeof raw === 'string') {
    const request = requestOf(raw)
    return new Step({ kind: 'send', ...request, body: new TextEncoder().encode(request.body) })
  }
  if ('job' in raw) throw new TypeError('what is to be verified here, only run() can: give it this exchange')
  if (!('alg' in raw)) return new Step({ kind: 'done', value: finish(raw) })
  const { signer, ...job } = raw
  return new Step({ kind: 'sign', ...job })
}

/**
 * Returns the parts of an exchange: its native half, the converter of its result, the source of moments, and the source of a workload's
 * token.
 */
let talkOf

/** One exchange with an authorization server, as a value. It opens no socket. */
class Exchange {
  #talk

  constructor(known, finish, moment, assertion) {
    if (typeof finish !== 'function') throw new TypeError('exchanges come from client.exchange')
    this.#talk = { known, finish, moment: checkMoment(moment), assertion }
  }

  begin() {
    return this.#readThenStep(begin)
  }

  reply(reply) {
    if (typeof reply !== 'object' || reply === null) throw new TypeError('reply must be { status, headers, body }')
    const { status, headers, body } = reply
    const answer = (known, at) => known.reply(at, status, fieldsOf(headers), body ?? '')
    return isRefusal(status) ? this.#readThenStep(answer) : this.#step(answer)
  }

  /** Reports that no response arrived. `delivery` is how far the request came, `loss` the reason, if known. */
  lost(reason, delivery = 'unknown', loss = undefined) { return this.#step(...lossArguments(reason, delivery, loss)) }
  elapsed() { return this.#readThenStep(elapsed) }

  signed(signature) {
    if (!(signature instanceof Uint8Array)) throw new TypeError('signature must be bytes')
    return this.#step(signed(signature))
  }

  /** A step whose request may need the workload's token, which a function supplies. */
  #readThenStep(answer) {
    const { assertion, moment } = this.#talk
    const readers = readersOf(assertion, answer)
    if (readers.length === 0) return this.#step(answer)
    const at = momentOf(moment)
    const failures = readers.map((reader) => reader.readAtOnce(at))
    return this.#step(answer, failures.find((failure) => failure !== undefined), at)
  }

  #step(answer, cause, at) { return stepOf(resumeNative(this.#talk, answer, cause, at), this.#talk.finish) }

  static {
    talkOf = (exchange) => exchange.#talk
  }
}

/** Resumes the native half with an input, and returns its next step. */
function resumeNative({ known, moment }, answer, cause, at = momentOf(moment)) {
  return callNative(() => answer(known, at), cause)
}

/** Resumes the native half after calling the functions that supply a workload's token or a subject token, which the next request may need. */
async function readAndResume(talk, answer, limits) {
  const readers = readersOf(talk.assertion, answer)
  if (readers.length === 0) return resumeNative(talk, answer)
  return resumeNative(talk, answer, await readForStep(readers, momentOf(talk.moment), limits))
}

/** The readers to run before this step. */
function readersOf(assertion, answer) {
  if (assertion === undefined) return []
  return [assertion].flat().filter((reader) => answer === begin || !reader.isForBegin)
}

/** Runs the readers, which store their results in the native half. Returns the failure of one, if any. */
async function readForStep(readers, at, limits) {
  const leaves = []
  for (const reader of readers) leaves.push(await reader.read(at, limits))
  return leaves.map((leave) => leave()).find((failure) => failure !== undefined)
}

/** Ends what readers hold for an exchange that is over. */
function releaseReaders(readers) {
  for (const reader of readers === undefined ? [] : [readers].flat()) reader.release?.()
}

/** Whether the server may require a new assertion after a reply with this status. */
const isRefusal = (status) => status >= 400

const begin = (known, at) => known.begin(at)
const elapsed = (known, at) => known.elapsed(at)
const signed = (signature) => (known, at) => known.signed(at, signature)

/** Header fields as one string, names and values separated by line breaks, which a received field contains no more than a NUL. */
function fieldsOf(headers) {
  return Array.from(headers, ([name, value]) => `${name}\n${value.replaceAll('\n', '\0')}`).join('\n')
}

function lossArguments(reason, delivery, loss) {
  const cause = reason instanceof Error ? reason : undefined
  return [(known, at) => known.lost(at, causeText(reason), delivery, loss), cause]
}

/** Checks the `moment` option: a function, or `undefined`. */
function checkMoment(moment) {
  if (moment !== undefined && typeof moment !== 'function') throw new TypeError('moment must be a function')
  return moment
}

/** The moment of one step. Without a function, the addon reads the system's clock. */
function momentOf(moment) {
  if (checkMoment(moment) === undefined) return undefined
  const at = moment()
  if (typeof at !== 'object' || at === null) throw new TypeError('a moment is { now, seed }')
  return at
}

/** The message of a transport's error; never a URL, whose query may hold a code. */
function causeText(reason) {
  if (!(reason instanceof Error)) return String(reason)
  const under = reason.cause instanceof Error ? reason.cause : reason
  return under.code ? `${under.name} ${under.code}` : under.name
}

/** A `send` over any `fetch`. */
function sendOver(fetch) {
  return async ({ method, url, headers, body, signal }) => {
    const reply = await fetch(url, {
      method,
      headers: [...headers, ...AS_IT_IS],
      body: body.length > 0 ? body : undefined,
      redirect: 'manual',
      signal,
      ...UNCACHED,
    })
    // A browser reveals nothing about a redirect except that there was one.
    if (reply.status === 0) throw new Error('an opaque redirect')
    const fields = []
    for (const name of readFields()) {
      const value = reply.headers.get(name)
      if (value !== null && value !== undefined) fields.push([name, value])
    }
    return { status: reply.status, headers: fields, body: await bodyOf(reply) }
  }
}

/** The placeholder for a body that is not read. */
const TOO_LARGE = { length: Infinity }

/** A body of at most 1 MiB. */
async function bodyOf({ headers, body }) {
  const coding = (headers.get('content-encoding') ?? '').trim().toLowerCase()
  if (!UNPACKED.has(coding)) {
    await body?.cancel().catch(() => {})
    throw new Error(`the reply is compressed, which was not asked for: ${coding.slice(0, 40).replace(/[^ -~]/g, '')}`)
  }
  if (Number(headers.get('content-length') ?? 0) > LIMIT) {
    await body?.cancel().catch(() => {})
    return TOO_LARGE
  }
  if (typeof body?.getReader !== 'function') return bodyOfStream(body ?? [])
  // Cheaper than a loop over the stream.
  const reader = body.getReader()
  const chunks = []
  let size = 0
  for (let { value, done } = await reader.read(); !done; { value, done } = await reader.read()) {
    size += value.length
    if (size > LIMIT) {
      await reader.cancel().catch(() => {})
      return TOO_LARGE
    }
    chunks.push(value)
  }
  return chunks.length === 1 ? chunks[0] : joined(chunks)
}

/** Reads a body from a stream that is not a web stream, with the same limit. */
async function bodyOfStream(stream) {
  const chunks = []
  let size = 0
  for await (const chunk of stream) {
    size += chunk.length
    if (size > LIMIT) return TOO_LARGE
    chunks.push(chunk)
  }
  return joined(chunks)
}

const expire = (stop) => stop.abort(new DOMException('no answer in time', 'TimeoutError'))

/** Sends a request of the native half, within both time limits, and resumes it with the outcome. */
async function sendRequest(talk, text, { send, requestTimeoutMs, signal, timeoutMs }) {
  const stop = new AbortController()
  const timer = setTimeout(expire, Math.min(requestTimeoutMs, timeoutMs, MAX_TIMER), stop)
  const abort = () => stop.abort(signal.reason)
  signal?.addEventListener('abort', abort, { once: true })
  let reply
  try {
    const request = requestOf(text)
    request.signal = stop.signal
    reply = await send(request)
  } catch (lost) {
    signal?.throwIfAborted()
    const { delivery, loss } = lossOf(lost)
    return resumeNative(talk, ...lossArguments(lost, delivery, loss))
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', abort)
  }
  const { status, headers, body } = reply
  if (body.length > LIMIT) return resumeNative(talk, ...lossArguments('the reply is larger than 1 MiB', 'too_large'))
  const answer = (known, at) => known.reply(at, status, fieldsOf(headers), body)
  return isRefusal(status) ? readAndResume(talk, answer, { signal, timeoutMs }) : resumeNative(talk, answer)
}

/** Waits at least this long: timers of Node.js truncate fractions of a millisecond. */
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
    if (isIdle) idle(timer)
    signal?.addEventListener('abort', end, { once: true })
  })
}

/** Runs an exchange to its end over any `send`, or any `fetch`. */
async function run(exchange, options) {
  const given = optionsOf('run', options)
  const { fetch = globalThis.fetch, send = sendOver(fetch), sign, signal, timeoutMs, requestTimeoutMs = TIMEOUT } = given
  if (!(exchange instanceof Exchange)) throw new TypeError('exchange must be an Exchange')
  const talk = talkOf(exchange)
  checkLimit(timeoutMs)
  checkLimit(requestTimeoutMs)
  const deadline = timeoutMs === undefined ? Infinity : performance.now() + timeoutMs
  let isOver = false
  try {
    signal?.throwIfAborted()
    // Exchanges that end with their first step, such as a verification with cached keys, need no waiting.
    let step = talk.assertion === undefined ? resumeNative(talk, begin) : await readAndResume(talk, begin, { signal, timeoutMs })
    for (;;) {
      signal?.throwIfAborted()
      const left = deadline === Infinity ? Infinity : deadline - performance.now()
      const limits = { signal, timeoutMs: left }
      if (typeof step === 'string') {
        step = left <= 0
          ? resumeNative(talk, ...lossArguments('no answer in time', 'unsent'))
          : await sendRequest(talk, step, { send, requestTimeoutMs, ...limits })
      } else if (typeof step === 'number') {
        await pause(Math.min(step, Math.max(left, 0)), signal)
        step = await readAndResume(talk, elapsed, limits)
      } else if ('job' in step) {
        const isGood = await verified(step).catch((error) => ({ error }))
        step = typeof isGood === 'boolean'
          ? resumeNative(talk, (known, at) => known.verified(at, isGood))
          : resumeNative(talk, ...lossArguments(isGood.error, 'unknown'))
      } else if ('alg' in step) {
        const { signer } = step
        const made = async () => (sign === undefined && signer ? signer.signature() : sign(stepOf(step)))
        const signature = await waitFor(made(), limits).catch((error) => ({ error: errorFromNative(error) }))
        signal?.throwIfAborted()
        step = signature instanceof Uint8Array
          ? resumeNative(talk, signed(signature))
          : resumeNative(talk, ...lossArguments(signature?.error ?? 'no signature was made', 'unsent'))
      } else {
        isOver = true
        return talk.finish(step)
      }
    }
  } finally {
    // Rejects other callers that wait for this exchange.
    if (!isOver) talk.known.cancel()
    releaseReaders(talk.assertion)
  }
}

/**
 * Waits for a promise that continues without this caller: an abort or a timeout rejects the wait, and calls
 * `leave`.
 */
function waitFor(promise, { signal, timeoutMs }, leave = () => {}) {
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
        reject(timeoutError())
      }, Math.min(timeoutMs, MAX_TIMER))
    }
    promise.then(
      (value) => { end(); resolve(value) },
      (error) => { end(); reject(error) },
    )
    if (signal?.aborted) aborted()
  })
}

/** Runs an exchange to its end: over the client's `send` if it has one, else natively. */
async function runOver(exchange, { send, network, requestTimeoutMs }, call) {
  const { signal, timeoutMs } = optionsOf('a call', call)
  checkLimit(timeoutMs)
  if (send) return run(exchange, { send, requestTimeoutMs, signal, timeoutMs })
  signal?.throwIfAborted()
  const { known, finish, assertion: readers } = talkOf(exchange)
  const all = readersOf(readers, begin)
  try {
    await readForStep(all.filter((reader) => reader.isForBegin), undefined, { signal, timeoutMs })
    return await runNatively(known, finish, all, { requestTimeoutMs, network, signal, timeoutMs })
  } finally {
    releaseReaders(readers)
  }
}

/** Runs the native half to its end, and converts its result. */
async function runNatively(known, finish, all, { requestTimeoutMs, network, signal, timeoutMs }) {
  const assertion = all.find((reader) => !reader.isForBegin)
  const raw = callNative(() => known.run(requestTimeoutMs, timeoutMs, network))
  // The native timeout does not run while a function is called for a token, so it is limited here.
  const limit = assertion === undefined ? {} : { timeoutMs }
  try {
    return finish(await waitFor(raw, { signal, ...limit }, () => known.cancel()))
  } catch (error) {
    const raised = errorFromNative(error, error.message?.includes('lost.unsent') ? assertion?.failure : undefined)
    // The native error has no stack, so one is captured here.
    if (raised instanceof OAuthError) Error.captureStackTrace(raised)
    throw raised
  }
}

/**
 * Runs the exchange that `start` begins. One that ends with its first step, such as a verification with cached keys,
 * returns its result without another promise.
 */
function startAndRun(start, finish, transport, call) {
  const { signal, timeoutMs } = optionsOf('a call', call)
  checkLimit(timeoutMs)
  signal?.throwIfAborted()
  const begun = callNative(start)
  if (typeof begun === 'string') return finish({ members: begun })
  return begun instanceof native.NativeExchange ? runOver(new Exchange(begun, finish), transport, call) : finish(begun)
}

/** Returns a time limit, after checking it. */
function checkLimit(ms, name = 'timeoutMs') {
  if (ms !== undefined && !(typeof ms === 'number' && ms > 0)) {
    throw new TypeError(`${name} must be a positive number of milliseconds`)
  }
  return ms
}

module.exports = { Exchange, Step, run, runOver, startAndRun, waitFor, pause, causeText, checkLimit, momentOf, sendOver }
