'use strict'

// Limits on renewals: how many begin per second, and how many run at once.

const { pause } = require('./exchange.cjs')

/**
 * Limits that all renewals of some grants share: how many begin per second, and how many run at once; 0 means no
 * limit. Returns a function that creates the turn of one renewal.
 */
function rateLimited({ perSecond, atOnce }) {
  const waitForSlot = perSecond > 0 ? rateLimiter(1000 / perSecond) : undefined
  const acquire = atOnce > 0 ? semaphore(atOnce) : undefined
  return () => {
    let isCounted = false
    let leave
    return {
      /**
       * Waits until the renewal may take a lease. A renewal counts once against the rate, no matter how often this is
       * called.
       */
      async come() {
        leave ??= await acquire?.()
        if (isCounted) return
        isCounted = true
        await waitForSlot?.()
      },
      /** Frees the place for another renewal: this one has ended, or is waiting for another worker. */
      stepAside() {
        leave?.()
        leave = undefined
      },
    }
  }
}

/** Spaces calls `gap` milliseconds apart, in order. */
function rateLimiter(gap) {
  let next = 0
  return async () => {
    const now = performance.now()
    const turn = Math.max(now, next)
    next = turn + gap
    await pause(turn - now)
  }
}

/** A fair semaphore with `count` places. Acquiring resolves to the function that releases the place. */
function semaphore(count) {
  let free = count
  const waiting = []
  const releaseSlot = () => {
    const next = waiting.shift()
    if (next) next(releaseSlot)
    else free += 1
  }
  return () => {
    if (free === 0) return new Promise((take) => waiting.push(take))
    free -= 1
    return Promise.resolve(releaseSlot)
  }
}

module.exports = { rateLimited }
