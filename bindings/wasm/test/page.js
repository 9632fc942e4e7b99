// The page under test: it offers the package to the tests, and does nothing by itself.

import * as web from '/js/index.js'

globalThis.web = web
globalThis.seen = []
/** What a test gets of an error. */
globalThis.told = (promise) =>
  promise.then(
    (value) => ({ value }),
    ({ code, name, advice, message, cause, retryAfter }) => ({ code, name, advice, message, cause, retryAfter }),
  )
globalThis.loaded = true
