// What must be there before anything is done: a page, and a secure context.

import { setupError } from './errors.js'

/** Throws where there is no page, as on a server that renders one, and where WebCrypto is missing. */
export function needPage() {
  if (typeof document === 'undefined' || typeof location === 'undefined') throw nowhere()
  needCrypto()
}

/** The same, but a worker will do: also that of an extension, which has neither a page nor storage. */
export function needScope() {
  if (typeof WorkerGlobalScope === 'undefined' || !(globalThis instanceof WorkerGlobalScope)) return needPage()
  needCrypto()
}

function needCrypto() {
  if (globalThis.crypto?.subtle !== undefined) return
  const how = 'serve the page by https, or from a loopback address'
  throw setupError(`${location.origin} is not a secure context, so there is no crypto.subtle: ${how}`)
}

const nowhere = () => setupError('there is no page here: call this in the browser, not where a server renders')
