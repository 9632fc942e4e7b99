'use strict'

// The log of a site: the application's `log` function, or else the console, for entries that the site's operator has to see.

const { channel } = require('#host')

/** Publishes each entry of the log, as `{ code, detail }`. */
const NOTES = channel('oauth-core:web')

/** One line of the console: what it quotes of a provider's response must not forge another. */
const line = (detail) => `oauth-core: ${detail.replace(/\s+/g, ' ')}`

/** Logs the entries of a visit. Without a `log` function, those that show a fault of the site are written to the console. */
function logNotes(log, notes) {
  for (const [code, detail, isSiteFault] of notes) {
    log?.({ code, detail })
    if (log === undefined && isSiteFault) console.error(line(detail))
    NOTES.publish({ code, detail })
  }
}

module.exports = { logNotes }
