// What must be there before anything is done: a page, and a secure context.

import { setupError } from './errors.js'

/** Throws where there is no page, as on a server that renders one, and where WebCrypto is missing. */
export function needPage() {
  if (typeof document === 'undefined' || typeof location === 'undefined') {
    throw setupError('there is no page here: call this in the browser, not where a server renders')
  }
  if (globalThis.crypto?.subtle === undefined) {
    const how = 'serve the page by https, or from a loopback address'
    throw setupError(`${location.origin} is not a secure context, so there is no crypto.subtle: ${how}`)
  }
}
