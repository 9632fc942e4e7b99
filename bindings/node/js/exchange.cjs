'use strict'

// `Exchange`: one conversation with an authorization server, and the driver that runs it over any `fetch` without
// following redirects or retrying. (The token exchange of RFC 8693 is an operation in ops.cjs.)

const { idle, inspect, joined, userAgent } = require('#host')
const native = require('#native')
const { timeoutError, errorFromNative, callNative, OAuthError } = require('./errors.cjs')
const { classifyLoss } = require('./fetch-errors.cjs')
const { kindError } = require('./kinds.cjs')
const { checkOptions } = require('./options.cjs')
const { verified } = require('./webcrypto.cjs')

/** The largest response body, in bytes. */
const MAX_BODY = 1 << 20
/** The default timeout of a request, and the longest time that a timer can wait, in milliseconds. */
const REQUEST_TIMEOUT_MS = 30_000
const MAX_TIMER_MS = 2 ** 31 - 1

/**
 * A few compressed kilobytes can expand to gigabytes, so no compression is requested. A response that is compressed
 * nevertheless is read up to the limit.
 */
const UNCOMPRESSED = [['accept-encoding', 'identity']]
/** The content codings accepted although not requested, because they are cheap to decompress; not Brotli, whose window may be 16 MiB. */
const ACCEPTED_CODINGS = new Set(['', 'identity', 'gzip', 'x-gzip', 'deflate'])
/** Frameworks patch `fetch` to cache its responses; not every runtime supports this option, and some throw for it. */
const UNCACHED = 'cache' in Request.prototype ? { cache: 'no-store' } : {}

let cachedReadFields
/** The names of the response header fields that the core reads. */
const readFields = () => (cachedReadFields ??= native.readFields())

/** A step of an exchange. `console.log` shows neither header values nor a body. */
class Step {
  constructor(members) {
    Object.assign(this, members)
  }

  [inspect.custom](depth, options) {
    const fields = { kind: this.kind }
    if (this.kind === 'send') {
      fields.method = this.method
      fields.url = this.url.split('?', 1)[0]
      fields.headers = this.headers.map(([name]) => name)
      fields.bodyBytes = this.body.length
    } else if (this.kind === 'sleep') {
      fields.ms = this.ms
    } else if (this.kind === 'sign') {
      fields.keyId = this.keyId
      fields.alg = this.alg
    }
    return `Step ${inspect(fields, options)}`
  }
}

/** Parses a request from the native half: the method, URL and header fields by line, a blank line, and the body. */
function parseRequest(text) {
  const end = text.indexOf('\n\n')
  const [method, url, ...fields] = text.slice(0, end).split('\n')
  const headers = []
  for (let at = 0; at < fields.length; at += 2) headers.push([fields[at], fields[at + 1]])
  return { method, url, headers, body: text.slice(end + 2) }
}

function toStep(raw, finish) {
  if (typeof raw === 'number') return new Step({ kind: 'sleep', ms: raw })
  if (typeof raw === 'string') {
    const request = parseRequest(raw)
    return new Step({ kind: 'send', ...request, body: new TextEncoder().encode(request.body) })
  }
  if ('job' in raw) throw new TypeError('this exchange needs WebCrypto to verify a signature: pass it to run()')
  if (!('alg' in raw)) return new Step({ kind: 'done', value: finish(raw) })
  const { signer, ...job } = raw
  return new Step({ kind: 'sign', ...job })
}

/**
 * Returns the parts of an exchange: its native half, the converter of its result, the source of moments, and the source of a
 * workload's token.
 */
let getParts

/** One exchange with an authorization server, as a value. It opens no socket. */
class Exchange {
  #parts

  constructor(handle, finish, moment, assertion) {
    if (typeof finish !== 'function') throw new TypeError('an Exchange must be created with client.exchange')
    this.#parts = { known: handle, finish, moment: checkMoment(moment), assertion }
  }

  begin() {
    return this.#readThenStep(begin)
  }

  reply(reply) {
    if (typeof reply !== 'object' || reply === null) throw new TypeError('reply must be { status, headers, body }')
    const { status, headers, body } = reply
    const input = (handle, at) => handle.reply(at, status, joinFields(headers), body ?? '')
    return isRefusal(status) ? this.#readThenStep(input) : this.#step(input)
  }

  /** Reports that no response arrived. `delivery` says whether the request was sent, `loss` why it failed, if known. */
  lost(reason, delivery = 'unknown', loss = undefined) { return this.#step(...lossArguments(reason, delivery, loss)) }
  elapsed() { return this.#readThenStep(elapsed) }

  signed(signature) {
    if (!(signature instanceof Uint8Array)) throw new TypeError('signature must be bytes')
    return this.#step(signed(signature))
  }

  /** A step whose request may need the workload's token, which a function supplies. */
  #readThenStep(input) {
    const { assertion, moment } = this.#parts
    const readers = readersForInput(assertion, input)
    if (readers.length === 0) return this.#step(input)
    const at = readMoment(moment)
    const failures = readers.map((reader) => reader.readAtOnce(at))
    return this.#step(input, failures.find((failure) => failure !== undefined), at)
  }

  #step(input, cause, at) { return toStep(resumeNative(this.#parts, input, cause, at), this.#parts.finish) }

  static {
    getParts = (exchange) => exchange.#parts
  }
}

/** Resumes the native half with an input, and returns its next step. */
function resumeNative({ known: handle, moment }, input, cause, at = readMoment(moment)) {
  return callNative(() => input(handle, at), cause)
}

/** Resumes the native half after calling the functions that supply a workload's token or a subject token, which the next request may need. */
async function readAndResume(parts, input, limits) {
  const readers = readersForInput(parts.assertion, input)
  if (readers.length === 0) return resumeNative(parts, input)
  return resumeNative(parts, input, await readForStep(readers, readMoment(parts.moment), limits))
}

/** The readers to run before this step. */
function readersForInput(assertion, input) {
  if (assertion === undefined) return []
  return [assertion].flat().filter((reader) => input === begin || !reader.isForBegin)
}

/** Runs the readers, which store their results in the native half. Returns the failure of one, if any. */
async function readForStep(readers, at, limits) {
  const leaves = []
  for (const reader of readers) leaves.push(await reader.read(at, limits))
  return leaves.map((leave) => leave()).find((failure) => failure !== undefined)
}

/** Ends the holds of readers for an exchange that has ended. */
function releaseReaders(readers) {
  for (const reader of readers === undefined ? [] : [readers].flat()) reader.release?.()
}

/** Whether the server may require a new assertion after a response with this status. */
const isRefusal = (status) => status >= 400

const begin = (handle, at) => handle.begin(at)
const elapsed = (handle, at) => handle.elapsed(at)
const signed = (signature) => (handle, at) => handle.signed(at, signature)

/** Header fields as one string, separated by line breaks. A line break inside a value becomes NUL, which is as invalid there. */
function joinFields(headers) {
  return Array.from(headers, ([name, value]) => `${name}\n${value.replaceAll('\n', '\0')}`).join('\n')
}

function lossArguments(reason, delivery, loss) {
  const cause = reason instanceof Error ? reason : undefined
  return [(handle, at) => handle.lost(at, causeText(reason), delivery, loss), cause]
}

/** Checks the `moment` option: a function, or `undefined`. */
function checkMoment(moment) {
  if (moment !== undefined && typeof moment !== 'function') throw new TypeError('moment must be a function')
  return moment
}

/** The moment of one step. Without a function, the addon reads the system's clock. */
function readMoment(moment) {
  if (checkMoment(moment) === undefined) return undefined
  const at = moment()
  if (typeof at !== 'object' || at === null) throw new TypeError('moment must return { now, seed }')
  return at
}

/** The message of a transport's error; never a URL, whose query may hold a code. */
function causeText(reason) {
  if (!(reason instanceof Error)) return String(reason)
  const under = reason.cause instanceof Error ? reason.cause : reason
  return under.code ? `${under.name} ${under.code}` : under.name
}

/** The header fields with a `User-Agent`, unless they have one or the platform sends one. */
function withUserAgent(headers) {
  const agent = userAgent()
  if (agent === undefined || headers.some(([name]) => name.toLowerCase() === 'user-agent')) return headers
  return [...headers, ['user-agent', agent]]
}

/** A `send` function over any `fetch`. */
function sendOver(fetch) {
  return async ({ method, url, headers, body, signal }) => {
    const reply = await fetch(url, {
      method,
      headers: [...withUserAgent(headers), ...UNCOMPRESSED],
      body: body.length > 0 ? body : undefined,
      redirect: 'manual',
      signal,
      ...UNCACHED,
    })
    // Browsers hide everything about a redirect except that there was one.
    if (reply.status === 0) throw new Error('an opaque redirect')
    const fields = []
    for (const name of readFields()) {
      const value = reply.headers.get(name)
      if (value !== null && value !== undefined) fields.push([name, value])
    }
    return { status: reply.status, headers: fields, body: await readBody(reply) }
  }
}

/** The placeholder for a body that is not read. */
const TOO_LARGE = { length: Infinity }

/** Reads a body of at most 1 MiB. */
async function readBody({ headers, body }) {
  const coding = (headers.get('content-encoding') ?? '').trim().toLowerCase()
  if (!ACCEPTED_CODINGS.has(coding)) {
    await body?.cancel().catch(() => {})
    throw new Error(`the response is compressed, which was not requested: ${coding.slice(0, 40).replace(/[^ -~]/g, '')}`)
  }
  if (Number(headers.get('content-length') ?? 0) > MAX_BODY) {
    await body?.cancel().catch(() => {})
    return TOO_LARGE
  }
  if (typeof body?.getReader !== 'function') return bodyOfStream(body ?? [])
  // Faster than `for await` over the stream.
  const reader = body.getReader()
  const chunks = []
  let size = 0
  for (let { value, done } = await reader.read(); !done; { value, done } = await reader.read()) {
    size += value.length
    if (size > MAX_BODY) {
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
    if (size > MAX_BODY) return TOO_LARGE
    chunks.push(chunk)
  }
  return joined(chunks)
}

const abortLate = (stop) => stop.abort(new DOMException('the time limit of the request has passed', 'TimeoutError'))

/** Sends a request of the native half, within both time limits, and resumes it with the outcome. */
async function sendRequest(parts, text, { send, requestTimeoutMs, signal, timeoutMs }) {
  const stop = new AbortController()
  const timer = setTimeout(abortLate, Math.min(requestTimeoutMs, timeoutMs, MAX_TIMER_MS), stop)
  const abort = () => stop.abort(signal.reason)
  signal?.addEventListener('abort', abort, { once: true })
  let reply
  try {
    const request = parseRequest(text)
    request.signal = stop.signal
    reply = await send(request)
  } catch (fetchError) {
    signal?.throwIfAborted()
    const { delivery, loss } = classifyLoss(fetchError)
    return resumeNative(parts, ...lossArguments(fetchError, delivery, loss))
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', abort)
  }
  const { status, headers, body } = reply
  if (body.length > MAX_BODY) return resumeNative(parts, ...lossArguments('the response is larger than 1 MiB', 'too_large'))
  const input = (handle, at) => handle.reply(at, status, joinFields(headers), body)
  return isRefusal(status) ? readAndResume(parts, input, { signal, timeoutMs }) : resumeNative(parts, input)
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
    }, Math.min(Math.ceil(ms), MAX_TIMER_MS))
    // Lets the process exit meanwhile.
    if (isIdle) idle(timer)
    signal?.addEventListener('abort', end, { once: true })
  })
}

/** Runs an exchange to its end over any `send`, or any `fetch`. */
async function run(exchange, options) {
  const checkedOptions = checkOptions('run', options)
  const { fetch = globalThis.fetch, send = sendOver(fetch), sign, signal, timeoutMs, requestTimeoutMs = REQUEST_TIMEOUT_MS } = checkedOptions
  if (!(exchange instanceof Exchange)) throw kindError('exchange must be an Exchange', exchange)
  const parts = getParts(exchange)
  checkLimit(timeoutMs)
  checkLimit(requestTimeoutMs)
  const deadline = timeoutMs === undefined ? Infinity : performance.now() + timeoutMs
  let isDone = false
  try {
    signal?.throwIfAborted()
    // Exchanges that end with their first step, such as a verification with cached keys, need no waiting.
    let step = parts.assertion === undefined ? resumeNative(parts, begin) : await readAndResume(parts, begin, { signal, timeoutMs })
    for (;;) {
      signal?.throwIfAborted()
      const remaining = deadline === Infinity ? Infinity : deadline - performance.now()
      const limits = { signal, timeoutMs: remaining }
      if (typeof step === 'string') {
        step = remaining <= 0
          ? resumeNative(parts, ...lossArguments('the time limit of the call has passed', 'unsent'))
          : await sendRequest(parts, step, { send, requestTimeoutMs, ...limits })
      } else if (typeof step === 'number') {
        await pause(Math.min(step, Math.max(remaining, 0)), signal)
        step = await readAndResume(parts, elapsed, limits)
      } else if ('job' in step) {
        const verification = await verified(step).catch((error) => ({ error }))
        step = typeof verification === 'boolean'
          ? resumeNative(parts, (handle, at) => handle.verified(at, verification))
          : resumeNative(parts, ...lossArguments(verification.error, 'unknown'))
      } else if ('alg' in step) {
        const { signer } = step
        const makeSignature = async () => (sign === undefined && signer ? signer.signature() : sign(toStep(step)))
        const signature = await waitFor(makeSignature(), limits).catch((error) => ({ error: errorFromNative(error) }))
        signal?.throwIfAborted()
        step = signature instanceof Uint8Array
          ? resumeNative(parts, signed(signature))
          : resumeNative(parts, ...lossArguments(signature?.error ?? 'no signature was returned', 'unsent'))
      } else {
        isDone = true
        return parts.finish(step)
      }
    }
  } finally {
    // Rejects other callers that wait for this exchange.
    if (!isDone) parts.known.cancel()
    releaseReaders(parts.assertion)
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
      }, Math.min(timeoutMs, MAX_TIMER_MS))
    }
    promise.then(
      (value) => { end(); resolve(value) },
      (error) => { end(); reject(error) },
    )
    if (signal?.aborted) aborted()
  })
}

/** Runs an exchange to its end: over the client's `send` if it has one, otherwise natively. */
async function runOver(exchange, { send, network, requestTimeoutMs }, call) {
  const { signal, timeoutMs } = checkOptions('a call', call)
  checkLimit(timeoutMs)
  // Awaited, here and elsewhere: V8 follows the stack of an error through `await` only.
  if (send) return await run(exchange, { send, requestTimeoutMs, signal, timeoutMs })
  signal?.throwIfAborted()
  const { known: handle, finish, assertion: readers } = getParts(exchange)
  const activeReaders = readersForInput(readers, begin)
  try {
    await readForStep(activeReaders.filter((reader) => reader.isForBegin), undefined, { signal, timeoutMs })
    return await runNatively(handle, finish, activeReaders, { requestTimeoutMs, network, signal, timeoutMs })
  } finally {
    releaseReaders(readers)
  }
}

/** Runs the native half to its end, and converts its result. */
async function runNatively(handle, finish, activeReaders, { requestTimeoutMs, network, signal, timeoutMs }) {
  const assertion = activeReaders.find((reader) => !reader.isForBegin)
  const raw = callNative(() => handle.run(requestTimeoutMs, timeoutMs, network))
  // The native timeout is suspended while a function supplies a token, so the limit is enforced here.
  const limit = assertion === undefined ? {} : { timeoutMs }
  try {
    return finish(await waitFor(raw, { signal, ...limit }, () => handle.cancel()))
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
  const { signal, timeoutMs } = checkOptions('a call', call)
  checkLimit(timeoutMs)
  signal?.throwIfAborted()
  const begun = callNative(start)
  if (typeof begun === 'string') return finish({ members: begun })
  return begun instanceof native.NativeExchange ? runOver(new Exchange(begun, finish), transport, call) : finish(begun)
}

/** Checks a time limit, and returns it. */
function checkLimit(ms, name = 'timeoutMs') {
  if (ms !== undefined && !(typeof ms === 'number' && ms > 0)) {
    throw new TypeError(`${name} must be a positive number of milliseconds`)
  }
  return ms
}

module.exports = { Exchange, Step, run, runOver, startAndRun, waitFor, pause, causeText, checkLimit, readMoment, withUserAgent, sendOver }
