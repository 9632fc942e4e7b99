'use strict'

// What a site has to tell its log: to the application's function, and to whoever listens to the channel.

const { channel } = require('#host')

/** Publishes each note, as `{ code, detail }`. */
const NOTES = channel('oauth-core:web')

/** Tells the log one thing; `log` is the application's function, if it has one. */
function publishNote(log, code, detail) {
  log?.({ code, detail })
  NOTES.publish({ code, detail })
}

module.exports = { publishNote }
