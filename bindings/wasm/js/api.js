// Requests to APIs: carries out the steps that the module decides. How a challenge is evaluated is in the core
// (flow/resource/challenge_verdict.rs).

import { describeFailure } from './driver.js'

const POLICIES = ['error', 'wait', 'pass']
/** The page's two clocks in seconds: the wall clock and the monotonic one. */
const clocks = () => [Date.now() / 1000, performance.now() / 1000]

/** The reply to a request. `source` has `token()`, `renew(refused)` and `refuse(refused)`. */
export async function call({ wasm, api, source, config }, input, init) {
  const { onRateLimit = 'error', longestWaitMs = 300_000 } = { ...rateLimitOptions(config), ...rateLimitOptions(init) }
  if (!POLICIES.includes(onRateLimit)) throw new TypeError(`onRateLimit must be one of ${POLICIES}`)
  if (!(longestWaitMs > 0)) throw new TypeError('longestWaitMs must be a positive number of milliseconds')
  const original = new Request(input, init)
  const request = new Request(original, { redirect: 'manual' })
  const isStream = init?.body instanceof ReadableStream
  const { method, url, signal } = request
  const headers = [...request.headers]
  const isForm = /^application\/x-www-form/i.test(request.headers.get('content-type'))
  if (isForm && !isStream) headers.push(...(await (await import('./form.js')).credentials(request)))
  const rules = api.call(method, url, headers.flat(), isStream, onRateLimit, longestWaitMs)
  let tokens
  let reply
  let isReturned = false
  try {
    let step = rules.begin(...clocks())
    for (;;) {
      signal.throwIfAborted()
      if (step === 'send') {
        reply = await send(isStream ? request : request.clone(), rules, { wasm, config })
        if (reply.type === 'opaqueredirect') {
          // The target of a redirect is hidden from a page, so whether the token may be sent there cannot be checked.
          if (original.redirect !== 'manual') throw wasm.redirectError()
          isReturned = true
          return reply
        }
        step = rules.reply(...clocks(), reply.status, [...reply.headers].flat())
      } else if (step === 'wait') {
        const { millis } = rules
        config.onWait?.(millis)
        await pause(millis, signal)
        step = rules.elapsed(...clocks())
      } else if (step === 'sign') {
        step = rules.signed(...clocks(), await config.sign(rules.signingInput))
      } else if (step === 'token' || step === 'renew') {
        if (step === 'renew') config.observe?.({ kind: 'renew', why: `HTTP ${reply.status}` })
        tokens = await (step === 'token' ? source.token() : source.renew(tokens))
        step = rules.token(...clocks(), tokens)
      } else {
        if (step === 'done_refused') source.refuse(tokens)
        isReturned = true
        return reply
      }
    }
  } finally {
    // Lets the requests that wait for this one continue.
    rules.free()
    if (!isReturned) reply?.body?.cancel().catch(() => {})
  }
}

async function send(request, { authorization, dpop }, { wasm, config }) {
  request.headers.set('authorization', authorization)
  if (dpop) request.headers.set('dpop', dpop)
  const [url] = request.url.split(/[?#]/)
  config.observe?.({ kind: 'api', method: request.method, url })
  const reply = await fetch(request).catch((error) => {
    throw error?.name === 'TypeError' ? wasm.lostError(describeFailure(error)) : error
  })
  config.observe?.({ kind: 'api-response', status: reply.status })
  return reply
}

/** The options for rate limits. */
const rateLimitOptions = ({ onRateLimit, longestWaitMs } = {}) => ({
  ...(onRateLimit !== undefined && { onRateLimit }),
  ...(longestWaitMs !== undefined && { longestWaitMs }),
})

const pause = (millis, signal) =>
  new Promise((wake, fail) => {
    const end = () => {
      clearTimeout(timer)
      fail(signal.reason)
    }
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', end)
      wake()
    }, Math.ceil(millis))
    signal.addEventListener('abort', end, { once: true })
  })
