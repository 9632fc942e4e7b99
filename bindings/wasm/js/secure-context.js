// Requires a page and a secure context, before anything else is done.

import { setupError } from './errors.js'

/** Throws if there is no page, as during server-side rendering, or no WebCrypto. */
export function needPage() {
  if (typeof document === 'undefined' || typeof location === 'undefined') throw pageMissing()
  needCrypto()
}

/** Throws if there is neither a page nor a worker, such as that of an extension, or no WebCrypto. */
export function needScope() {
  if (typeof WorkerGlobalScope === 'undefined' || !(globalThis instanceof WorkerGlobalScope)) return needPage()
  needCrypto()
}

function needCrypto() {
  if (globalThis.crypto?.subtle !== undefined) return
  const advice = 'serve the page by https, or from a loopback address'
  throw setupError(`${location.origin} is not a secure context, so there is no crypto.subtle: ${advice}`, 'page.insecure')
}

const pageMissing = () => setupError('there is no page here: call this in the browser, not where a server renders', 'page.missing')
