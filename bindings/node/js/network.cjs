'use strict'

// Network settings, and a `fetch` that uses them.

const { fetch: usual, fileURLToPath, inspect } = require('#host')
const native = require('#native')
const { errorFromNative, callNative } = require('./errors.cjs')
const { checkLimit, sendOver } = require('./exchange.cjs')
const { optionsOf } = require('./options.cjs')
const { checkInput } = require('./paths.cjs')

const natives = new WeakMap()

/** The addon's object for a network. */
function nativeNetwork(network) {
  if (network === undefined) return undefined
  const known = natives.get(network)
  if (known === undefined) throw new TypeError('network must be a Network')
  return known
}

/** The transport of a client or of an API: a network, a `fetch`, a `send`, or none of them. */
function lineOf(network, fetch, send) {
  for (const [name, given] of Object.entries({ fetch, send })) {
    if (given !== undefined && typeof given !== 'function') throw new TypeError(`${name} must be a function`)
  }
  if ([network, fetch, send].filter((given) => given !== undefined).length > 1) {
    throw new TypeError('give one of network, fetch and send')
  }
  const over = fetch ?? usual
  return { network: nativeNetwork(network), send: send ?? (over && sendOver(over)), apiFetch: fetch ?? network?.fetch }
}

/** PEM, or the file that contains it. */
const pem = (place) => (place instanceof URL ? fileURLToPath(place) : place)

/** How requests leave this process: certificates, proxy and limits. */
class Network {
  #known

  constructor(options) {
    const {
      ca, onlyCa, clientCertificate, clientKey, proxy, connectTimeoutMs, timeoutMs, userAgent, inFlightPerOrigin, addresses,
    } = optionsOf('Network', options)
    this.#known = callNative(() => new native.NativeNetwork({
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
    natives.set(this, this.#known)
    // Bound, because users pass it on as a function, as they do the global `fetch`.
    Object.defineProperty(this, 'fetch', { value: (input, init) => this.#fetch(input, init) })
  }

  async #fetch(input, init) {
    checkInput(input)
    const request = new Request(input, init)
    const body = request.body === null ? undefined : new Uint8Array(await request.arrayBuffer())
    const { signal } = request
    signal.throwIfAborted()
    const call = callNative(() => this.#known.request(request.method, request.url, [...request.headers], body))
    const cancel = () => call.cancel()
    const over = () => signal.removeEventListener('abort', cancel)
    const failed = (error) => {
      over()
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
    if (isEmpty) over()
    const stream = isEmpty ? null : new ReadableStream({
      async pull(controller) {
        const chunk = await call.chunk().catch((error) => {
          throw failed(error)
        })
        // A truncated body must not look like a complete one.
        signal.throwIfAborted()
        if (chunk) return controller.enqueue(chunk)
        over()
        controller.close()
      },
      cancel() {
        over()
        cancel()
      },
    }, { highWaterMark: 0 })
    return new Response(stream, { status: head.status, headers: head.headers })
  }

  [inspect.custom]() {
    return 'Network {}'
  }
}

module.exports = { Network, lineOf, nativeNetwork }
