'use strict'

// `Network`: TLS certificates, proxy and limits of requests, and a `fetch` that uses them.

const { fetch: defaultFetch, fileURLToPath, inspect } = require('#host')
const native = require('#native')
const { errorFromNative, callNative } = require('./errors.cjs')
const { checkLimit, sendOver } = require('./exchange.cjs')
const { kindError } = require('./kinds.cjs')
const { checkOptions } = require('./options.cjs')
const { checkInput } = require('./paths.cjs')

const natives = new WeakMap()

/** The native half of a network. */
function nativeNetwork(network) {
  if (network === undefined) return undefined
  const handle = natives.get(network)
  if (handle === undefined) throw kindError('network must be a Network', network)
  return handle
}

/** The transport of a client or of an API: a network, a `fetch`, a `send`, or none of them. */
function selectTransport(network, fetch, send) {
  for (const [name, value] of Object.entries({ fetch, send })) {
    if (value !== undefined && typeof value !== 'function') throw new TypeError(`${name} must be a function`)
  }
  if ([network, fetch, send].filter((value) => value !== undefined).length > 1) {
    throw new TypeError('only one of network, fetch and send can be given')
  }
  const usedFetch = fetch ?? defaultFetch
  return { network: nativeNetwork(network), send: send ?? (usedFetch && sendOver(usedFetch)), apiFetch: fetch ?? network?.fetch }
}

/** PEM text, or the path of a file that contains it. */
const pem = (source) => (source instanceof URL ? fileURLToPath(source) : source)

/** The network settings of requests: certificates, proxy and limits. */
class Network {
  #handle

  constructor(options) {
    const {
      ca, onlyCa, clientCertificate, clientKey, proxy, connectTimeoutMs, timeoutMs, userAgent, inFlightPerOrigin, addresses,
    } = checkOptions('Network', options)
    this.#handle = callNative(() => new native.NativeNetwork({
      ca: pem(ca),
      onlyCa: pem(onlyCa),
      clientCertificate: pem(clientCertificate),
      clientKey: pem(clientKey),
      proxy,
      connectTimeout: checkLimit(connectTimeoutMs, 'connectTimeoutMs'),
      timeout: checkLimit(timeoutMs),
      userAgent,
      inFlightPerOrigin,
      addresses,
    }))
    natives.set(this, this.#handle)
    // Bound, because it is passed on as a plain function, like the global `fetch`.
    Object.defineProperty(this, 'fetch', { value: (input, init) => this.#fetch(input, init) })
  }

  async #fetch(input, init) {
    checkInput(input)
    const request = new Request(input, init)
    const body = request.body === null ? undefined : new Uint8Array(await request.arrayBuffer())
    const { signal } = request
    signal.throwIfAborted()
    const call = callNative(() => this.#handle.request(request.method, request.url, [...request.headers], body))
    const cancel = () => call.cancel()
    const stopListening = () => signal.removeEventListener('abort', cancel)
    const failed = (error) => {
      stopListening()
      return signal.aborted ? signal.reason : errorFromNative(error)
    }
    signal.addEventListener('abort', cancel)
    let head
    try {
      head = await call.head()
    } catch (error) {
      throw failed(error)
    }
    const isEmpty = request.method === 'HEAD' || [204, 205, 304].includes(head.status)
    if (isEmpty) stopListening()
    const stream = isEmpty ? null : new ReadableStream({
      async pull(controller) {
        const chunk = await call.chunk().catch((error) => {
          throw failed(error)
        })
        // A truncated body must not look like a complete one.
        signal.throwIfAborted()
        if (chunk) return controller.enqueue(chunk)
        stopListening()
        controller.close()
      },
      cancel() {
        stopListening()
        cancel()
      },
    }, { highWaterMark: 0 })
    return new Response(stream, { status: head.status, headers: head.headers })
  }

  [inspect.custom]() {
    return 'Network {}'
  }
}

module.exports = { Network, selectTransport, nativeNetwork }
