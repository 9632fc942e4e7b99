'use strict'

// Limits how many renewals begin per second, and how many are in progress at once.

const { pause } = require('./exchange.cjs')

/**
 * Limits that all renewals of some grants share: how many begin in a second, and how many are under way at once; 0 is
 * no limit. Returns a function that creates the turn-taking object of one renewal.
 */
function paced({ perSecond, atOnce }) {
  const even = perSecond > 0 ? evenly(1000 / perSecond) : undefined
  const places = atOnce > 0 ? placesFor(atOnce) : undefined
  return () => {
    let isCounted = false
    let leave
    return {
      /** Waits until the renewal may take a lease. It counts against the rate once, however often it is called. */
      async come() {
        leave ??= await places?.()
        if (isCounted) return
        isCounted = true
        await even?.()
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
function evenly(gap) {
  let next = 0
  return async () => {
    const now = performance.now()
    const turn = Math.max(now, next)
    next = turn + gap
    await pause(turn - now)
  }
}

/** A semaphore with `count` places, first come, first served. It resolves to the function that releases the place. */
function placesFor(count) {
  let free = count
  const waiting = []
  const leave = () => {
    const next = waiting.shift()
    if (next) next(leave)
    else free += 1
  }
  return () => {
    if (free === 0) return new Promise((take) => waiting.push(take))
    free -= 1
    return Promise.resolve(leave)
  }
}

module.exports = { paced }
