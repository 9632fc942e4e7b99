'use strict'

// The native half: built beside this package, or installed as the package for this platform.

const { platform } = require('./platform.cjs')

function load() {
  const here = platform()
  const places = [`../native/oauth-core.${here}.node`, `oauth-core-${here}`]
  const failures = []
  for (const place of places) {
    try {
      return require(place)
    } catch (error) {
      failures.push(error)
    }
  }
  throw new Error(`oauth-core has no native half for ${here}: install oauth-core-${here}`, {
    cause: new AggregateError(failures),
  })
}

module.exports = load()
