'use strict'

// Requests to APIs: attaches the token, waits for the rate limiter, and does what the core decides about the response.

const { inspect } = require('#host')
const native = require('#native')
const { errorFromNative, callNative } = require('./errors.cjs')
const { checkLimit, pause, withUserAgent } = require('./exchange.cjs')
const { kindError } = require('./kinds.cjs')
const { selectTransport } = require('./network.cjs')
const { checkSignal, splitInit, checkOptions, toStrings } = require('./options.cjs')
const { checkInput, textOrUrl } = require('./paths.cjs')
const { nativeTokens } = require('./tokens.cjs')

/** The default longest wait for the rate limiter, in milliseconds. */
const LONGEST_WAIT = 300_000
/** The most redirects that are followed (Fetch, HTTP-redirect fetch). */
const MAX_HOPS = 20
/** The header fields that describe a body, and are removed with it (Fetch, HTTP-redirect fetch). */
const BODY_HEADERS = ['content-encoding', 'content-language', 'content-length', 'content-location', 'content-type']

/** An API, and the sources of the tokens for its requests. All callers share the known state of its rate limits. */
class Api {
  #handle
  #sources
  #fetch
  #onWait
  #limits

  constructor(handle, sources, { network, fetch, onWait, onRateLimit = 'error', longestWaitMs = LONGEST_WAIT } = {}) {
    if (!(handle instanceof native.NativeApi)) throw new TypeError('an Api must be created with server.api or source.api')
    if (onWait !== undefined && typeof onWait !== 'function') throw new TypeError('onWait must be a function')
    this.#handle = handle
    this.#sources = sources
    this.#fetch = selectTransport(network, fetch).apiFetch
    this.#onWait = onWait
    this.#limits = checkLimits(onRateLimit, longestWaitMs)
  }

  /** The name of the source whose token a request to this URL carries. */
  owner(url) {
    return callNative(() => this.#handle.owner(textOrUrl(url, 'url')))
  }

  /** `fetch` with the token of the route's owner. */
  async fetch(input, init) {
    if (typeof this !== 'object' || this === null || !(#handle in this)) throw unboundFetchError('api')
    checkInput(input)
    const { onRateLimit = this.#limits.onRateLimit, longestWaitMs = this.#limits.longestWaitMs, others: requestInit } = splitInit(init)
    const limits = checkLimits(onRateLimit, longestWaitMs)
    const redirect = checkRedirect(requestInit.redirect ?? input.redirect)
    // `URL` normalizes a path such as `/a/../user`, which another language may send unchanged: the core refuses it in all.
    if (typeof input === 'string' && !this.#sources.any) this.owner(input)
    checkSignal(requestInit.signal)
    const { stream, signal, ...request } = await toRequestParts(input, requestInit)
    const fetch = this.#fetch ?? globalThis.fetch
    const sender = ({ method, headers, body }) => ({ url, authorization, dpop }) => fetch(url, {
      ...otherInit(requestInit),
      method,
      headers: [...withUserAgent(headers), ...(authorization ? [['authorization', authorization]] : []), ...(dpop ? [['dpop', dpop]] : [])],
      body: stream ?? (body.length > 0 ? body : undefined),
      ...(stream && { duplex: 'half' }),
      redirect: 'manual',
      signal,
    })
    const redirects = { mode: redirect, hops: 0 }
    for (let current = request; ;) {
      const call = callNative(() => this.#handle.call({ ...current, ...limits }))
      const response = await driveCall(call, { sources: this.#sources, send: sender(current), onWait: this.#onWait, signal, redirects })
      const next = redirect === 'follow' && !stream ? redirectedAsGet(current, response, redirects.url) : undefined
      if (next === undefined) return response
      discardBody(response)
      current = next
    }
  }

  [inspect.custom]() {
    return 'Api {}'
  }
}

/** Checks the `redirect` option of `fetch`: `follow`, `error` or `manual`. */
function checkRedirect(redirect = 'follow') {
  if (!['follow', 'manual', 'error'].includes(redirect)) throw new TypeError("redirect must be 'follow', 'manual' or 'error'")
  return redirect
}

const isRedirect = ({ status }) => [301, 302, 303, 307, 308].includes(status)

/** The `GET` that follows a redirect which changes the method, if it stays within the origin (Fetch, HTTP-redirect fetch). */
function redirectedAsGet({ method, headers }, response, url) {
  const isRewritten = response.status === 303 ? !['GET', 'HEAD'].includes(method) : [301, 302].includes(response.status) && method === 'POST'
  const location = isRewritten ? response.headers.get('location') : null
  if (location === null || !URL.canParse(location, url)) return undefined
  const next = new URL(location, url)
  if (next.origin !== new URL(url).origin) return undefined
  const remainingHeaders = headers.filter(([name]) => !BODY_HEADERS.includes(name))
  return { url: next.href, method: 'GET', headers: remainingHeaders, body: new Uint8Array() }
}

/** The error for a `fetch` called without its object. */
const unboundFetchError = (name) => new TypeError(`fetch belongs to its ${name}: call ${name}.fetch(url), or hand on ${name}.fetch.bind(${name})`)

/** Carries out the steps that the core decides for a call, and returns the response. */
async function driveCall(call, { sources, send, onWait, signal, redirects }) {
  let response
  let tokens
  let owner
  let isDone = false
  try {
    let step = callNative(() => call.begin())
    while (!isDone) {
      signal?.throwIfAborted()
      const { kind, ms } = step
      if (kind === 'send') {
        response = await send(step)
        redirects.url = step.url
        if (isRedirect(response)) {
          if (redirects.mode === 'error') throw new TypeError('fetch failed', { cause: new Error('unexpected redirect') })
          isDone = redirects.mode === 'manual'
          if (isDone) break
          redirects.hops += 1
          if (redirects.hops > MAX_HOPS) throw new TypeError('fetch failed', { cause: new Error('redirect count exceeded') })
        }
        step = callNative(() => call.reply(response.status, [...response.headers]))
      } else if (kind === 'peek') {
        const head = await bodyIfShort(response, step.limit)
        step = callNative(() => call.body(head))
      } else if (kind === 'wait') {
        discardBody(response)
        onWait?.(ms)
        await pause(ms, signal)
        step = callNative(() => call.elapsed())
      } else if (kind === 'token' || kind === 'renew') {
        discardBody(response)
        owner = step.owner
        tokens = await tokensFrom(sources[owner], kind === 'renew', tokens, signal)
        const handle = tokens && nativeTokens(tokens)
        step = callNative(() => (handle ? call.token(handle) : call.unprotected()))
      } else if (kind === 'sign') {
        await discardBody(response)
        const signature = await step.signer.signature().catch((error) => { throw errorFromNative(error) })
        step = callNative(() => call.signed(signature))
      } else if (kind === 'step_up') {
        discardBody(response)
        await sources[step.owner].stepUp(tokens, call.requiredStepUp, { signal })
        step = callNative(() => call.stepUpDone())
      } else {
        if (kind === 'done_refused') sources[owner].invalidate(tokens)
        isDone = true
      }
    }
    return response
  } finally {
    // Lets the requests queued behind this one continue.
    call.close()
    if (!isDone) discardBody(response)
  }
}

/** The tokens of a source; `undefined` if its API requires no authorization. */
async function tokensFrom(source, isRefused, tokens, signal) {
  // A request without a token was refused: the API has begun to require authorization.
  if (isRefused && tokens === undefined) source.invalidate()
  try {
    return await (isRefused && tokens ? source.renew(tokens, { signal }) : source.token({ signal }))
  } catch (error) {
    if (error.code !== 'connect.not_protected') throw error
    return undefined
  }
}

/** The whole body if it has at most `limit` bytes, otherwise no bytes. Reads a clone, so that the caller can still read the body. */
async function bodyIfShort(response, limit) {
  const head = new Uint8Array(limit)
  let reader
  let size = 0
  try {
    reader = response.clone().body?.getReader()
    for (;;) {
      const { done, value } = (await reader?.read()) ?? { done: true }
      if (done) return head.subarray(0, size)
      // The body exceeds the limit, and a truncated one could not be parsed.
      if (size + value.length > limit) return new Uint8Array()
      head.set(value, size)
      size += value.length
    }
  } catch {
    return new Uint8Array()
  } finally {
    reader?.cancel().catch(() => {})
  }
}

/**
 * Frees the connection of a response that nobody reads. The cancellation is not awaited: it never settles where a framework keeps a
 * clone.
 */
function discardBody(response) {
  response?.body?.cancel?.().catch(() => {})
}

function checkLimits(onRateLimit, longestWaitMs) {
  if (!['error', 'wait', 'pass'].includes(onRateLimit)) throw new TypeError("onRateLimit must be 'error', 'wait' or 'pass'")
  return { onRateLimit, longestWaitMs: checkLimit(longestWaitMs, 'longestWaitMs') }
}

/** The members of `init` that are passed through unchanged. */
function otherInit({ method, headers, body, redirect, signal, duplex, ...rest }) {
  return rest
}

/** The parts of a `fetch` call: URL, method, headers, signal, and a body as bytes or as a stream that is sent once. */
async function toRequestParts(input, init) {
  const request = typeof input === 'object' && 'url' in input ? input : undefined
  const text = request ? request.url : String(input)
  const headers = new Headers(init.headers ?? request?.headers)
  const method = (init.method ?? request?.method ?? 'GET').toUpperCase()
  const signal = init.signal ?? request?.signal ?? undefined
  const rawBody = init.body ?? request?.body ?? undefined
  // Normalized here, so that the URL that is checked is the URL that is sent.
  const parts = { url: URL.canParse(text) ? new URL(text).href : text, method, signal }
  if (isStream(rawBody)) return { ...parts, headers: [...headers], stream: rawBody }
  // Returned before any `await`, so that requests reach the rate limiter in the order in which they were made.
  if (rawBody === undefined) return { ...parts, headers: [...headers], body: new Uint8Array() }
  const response = new Response(rawBody)
  const type = response.headers.get('content-type')
  if (type && !headers.has('content-type')) headers.set('content-type', type)
  const body = new Uint8Array(await response.arrayBuffer())
  return { ...parts, headers: [...headers], body }
}

function isStream(body) {
  return typeof body === 'object' && body !== null && (body instanceof ReadableStream || Symbol.asyncIterator in body)
}

/** Returns the source, after checking that it has the methods of a token source. */
function checkSource(source, name) {
  for (const verb of ['token', 'renew', 'invalidate']) {
    if (typeof source?.[verb] !== 'function') throw kindError(`${name} must have a method ${verb}`, source)
  }
  return source
}

/** An API of `server`, or one known by its origins only, with a token source for each owner. */
function createApi({ server, loopback = false }, sources, { origins, allowance, expiredTokenReplies, ...options }) {
  const originTexts = toStrings('origins', origins)
  const isDocumented = allowance === 'documented'
  const ownAllowance = isDocumented ? undefined : checkAllowance(allowance)
  if (isDocumented && !server) throw new TypeError("allowance: only presets have a 'documented' one; pass { requests, seconds }")
  const make = () => (server
    ? native.NativeApi.ofServer(server, originTexts, Object.keys(sources), isDocumented, ownAllowance)
    : native.NativeApi.at(originTexts ?? [], loopback, ownAllowance))
  const clientHandles = Object.values(sources).map(Source.getClientHandle).filter((client) => client !== undefined)
  const rules = expiredTokenReplies === undefined ? undefined : JSON.stringify([...expiredTokenReplies])
  const makeWithRules = () => (rules === undefined ? make() : make().withExpiredTokenReplies(rules))
  const called = () => clientHandles.reduce((api, client) => api.calledBy(client), makeWithRules())
  return new Api(callNative(called), sources, options)
}

function checkAllowance(allowance) {
  if (allowance === undefined) return undefined
  const { requests, seconds } = allowance
  const isCount = (value) => Number.isInteger(value) && value > 0 && value < 2 ** 32
  if (!isCount(requests) || !isCount(seconds)) {
    throw new TypeError("allowance must be 'documented', or { requests, seconds } as positive integers")
  }
  return { requests, seconds }
}

/** An API from its native half, with one token source. */
function createSingleSourceApi(handle, source, options) {
  return new Api(handle, { any: source }, options)
}

/** The base class of token sources: sends requests with the source's token. */
class Source {
  #target
  #options
  #api

  constructor(target, options) {
    this.#target = target
    this.#options = options
  }

  /** The `fetch` of a source, which also sends the requests to its API by default. */
  static getFetch(source) {
    return source !== undefined && #options in source ? source.#options.fetch : undefined
  }

  /** The native client for which a source obtains tokens; `undefined` for sources written by others. */
  static getClientHandle(source) {
    return source !== undefined && #target in source ? source.#target.client : undefined
  }

  /** An API whose only token source is this one, with its own rate limit. */
  api(input) {
    const options = checkOptions('source.api', input)
    const sources = { any: checkSource(this, 'source') }
    const { fetch, ...defaults } = this.#options
    const defaultTransport = options.network === undefined ? { fetch } : {}
    return createApi(this.#target, sources, { ...defaults, ...defaultTransport, ...options })
  }

  /** `fetch` with the token attached. Only allowed origins get it. */
  async fetch(input, init) {
    if (typeof this !== 'object' || this === null || !(#options in this)) throw unboundFetchError('source')
    this.#api ??= this.api()
    return await this.#api.fetch(input, init)
  }
}

module.exports = { Api, Source, createApi, createSingleSourceApi, checkSource }
