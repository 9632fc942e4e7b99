'use strict'

// The log of a site: the application's `log` function, or else the console, for entries that the site's operator has to see.

const { channel } = require('#host')

/** Publishes each entry of the log, as `{ code, detail }`. */
const NOTES = channel('oauth-core:web')

/** Warnings about the setup of the site, which are logged once. */
const WARNINGS = ['web.session_unknown', 'web.response_large']
/** Refusals that do not show that the site or its provider is at fault; anybody can cause some of them. */
const ORDINARY = /^(web\..*|callback\.state|denied\.(invalid_grant|.*_required))$/

/** Whether a response says that something is wrong with the site or its provider. */
function isFault({ status = 0, problem }) {
  // A browser without cookies goes round in circles.
  if (status === 508) return false
  if (status >= 500) return true
  return status === 400 && problem !== undefined && !ORDINARY.test(JSON.parse(problem).code)
}

/** One line of the console: what it quotes of a provider's answer must not forge another. */
const line = (detail) => `oauth-core: ${detail.replace(/\s+/g, ' ')}`

/** Logs the entries of a visit. Without a `log` function, those of a failure are written to the console. */
function logNotes(log, notes, response = {}) {
  const isShown = log === undefined && notes.length > 0 && isFault(response)
  for (const [code, detail] of notes) {
    log?.({ code, detail })
    if (isShown || (log === undefined && WARNINGS.includes(code))) console.error(line(detail))
    NOTES.publish({ code, detail })
  }
}

module.exports = { logNotes }
