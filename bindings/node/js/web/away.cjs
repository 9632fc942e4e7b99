'use strict'

// What is done while the provider of a site is not to be reached.

/** After how long it is asked again, and how long a person waits for it, in milliseconds. */
const PAUSE = 5_000
const PATIENCE = 10_000

/** Whether a person reads the answer, as their browser says. */
function isNavigation(fields) {
  const names = Object.fromEntries(fields.map(([name, value]) => [name.toLowerCase(), value]))
  const mode = names['sec-fetch-mode']
  return mode === undefined ? (names.accept ?? '').includes('text/html') : mode === 'navigate'
}

/** The answer of a page that cannot do without the provider: what to do about it is for the log. */
function awayReply(code, fields) {
  const title = 'Sign-in does not work right now.'
  const isPage = isNavigation(fields)
  const problem = { code, title, detail: null, signIn: null }
  const plain = { type: 'about:blank', title, status: 503, code }
  const page = '<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content="width=device-width">' +
    `<title>${title}</title><h1>${title}</h1><p><small>${code}</small></html>`
  return {
    status: 503,
    headers: [
      ['cache-control', 'no-store'],
      ['referrer-policy', 'no-referrer'],
      ['x-content-type-options', 'nosniff'],
      ['retry-after', String(PAUSE / 1000)],
      ['content-type', isPage ? 'text/html; charset=utf-8' : 'application/problem+json'],
      ...(isPage ? [['content-security-policy', "default-src 'none'; base-uri 'none'; frame-ancestors 'none'"]] : []),
    ],
    body: isPage ? page : JSON.stringify(plain),
    problem: JSON.stringify(problem),
  }
}

module.exports = { PATIENCE, PAUSE, awayReply }
