// The driver: runs one exchange with `fetch`. It sends each request once, follows no redirect, reads
// at most 1 MiB, and reports every failure to the exchange.

const MAX_BODY_BYTES = 1 << 20
const now = () => Date.now() / 1000

/** Runs an exchange, and returns its last step. */
export async function run(exchange, { observe, signal, sign, timeoutMs = 30_000 } = {}) {
  try {
    let step = exchange.begin(now())
    while (step.kind !== 'done') {
      signal?.throwIfAborted()
      if (step.kind === 'sleep') {
        await new Promise((wake) => setTimeout(wake, step.millis))
        step = exchange.elapsed(now())
      } else if (step.kind !== 'send') {
        step = await (await import('./webcrypto.js')).resumeWithWebCrypto(exchange, step, sign)
      } else {
        step = await send(exchange, step, observe, limits(signal, timeoutMs))
      }
    }
    return step
  } finally {
    exchange.free()
  }
}

async function send(exchange, step, observe, signal) {
  const { method, url, body } = step
  const headers = pairs(step.headers)
  observe?.((await import('./observe.js')).shownRequest(method, url, headers, body))
  let reply, response
  try {
    response = await fetch(url, {
      method,
      headers,
      body: method === 'GET' ? undefined : body,
      redirect: 'manual',
      credentials: 'omit',
      cache: 'no-store',
      referrerPolicy: 'no-referrer',
      signal,
    })
    reply = await read(response)
  } catch (error) {
    // The text of a failed fetch names no URL; that of an abort is the caller's own.
    observe?.({ kind: 'lost', why: error.name })
    const reason = response ? error.name : describeFailure(error, method)
    return exchange.lost(now(), reason, error.name === 'TimeoutError')
  }
  observe?.((await import('./observe.js')).shownReply(reply))
  return reply.body === undefined
    ? exchange.tooLarge(now())
    : exchange.reply(now(), reply.status, reply.headers.flat(), reply.body)
}

/**
 * Why no response arrived, to the extent that a page can tell: a browser shows the reason only in its console. Some
 * servers send CORS headers with successful responses only, so an error response looks the same.
 */
export function describeFailure(error, method) {
  if (error.name !== 'TypeError') return error.name
  const { origin } = location
  const cors = `the server may not let ${origin} read its replies (CORS)`
  const refused = 'the origin may not be registered for this client, or the request was refused in a reply that no page may read'
  const otherCauses = "the page's Content Security Policy may forbid it, or the network failed"
  return `fetch failed: ${[cors, ...(method === 'POST' ? [refused] : []), otherCauses].join(', ')}`
}

async function read(response) {
  // A browser reveals that the response was a redirect and hides the rest. Its status does not
  // matter, since none is followed.
  if (response.type === 'opaqueredirect') return { status: 302, headers: [], body: new Uint8Array() }
  const { status } = response
  const headers = [...response.headers]
  return { status, headers, body: await capped(response.body) }
}

/** The whole body, or `undefined` if it exceeds the limit. */
async function capped(stream) {
  if (!stream) return new Uint8Array()
  const reader = stream.getReader()
  const chunks = []
  let length = 0
  for (;;) {
    const { done, value } = await reader.read()
    if (done) break
    length += value.length
    if (length > MAX_BODY_BYTES) {
      // The rest is discarded, and an error of that is ignored.
      reader.cancel().catch(() => {})
      return undefined
    }
    chunks.push(value)
  }
  const body = new Uint8Array(length)
  let at = 0
  for (const chunk of chunks) {
    body.set(chunk, at)
    at += chunk.length
  }
  return body
}

function pairs(flat) {
  const list = []
  for (let at = 0; at < flat.length; at += 2) list.push([flat[at], flat[at + 1]])
  return list
}

const limits = (signal, timeoutMs) =>
  signal ? AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]) : AbortSignal.timeout(timeoutMs)
