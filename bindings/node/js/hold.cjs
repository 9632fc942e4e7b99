'use strict'

// The refresh token of a grant, used outside its renewals, such as for an identity assertion. Meanwhile no worker renews
// the grant: a server that rotates refresh tokens revokes the grant if one is used twice.

const { pause } = require('./exchange.cjs')
const { waitTimeoutError } = require('./errors.cjs')

/** How often a lease that another worker holds is asked for again, in milliseconds. */
const POLL_INTERVAL = 250

/** The last use of the refresh token of each grant without a store. */
const uses = new WeakMap()

/** A use of the refresh token of a grant without a store: the `turn` to wait for, if another use is under way, and its `end`. */
function useAlone(keeper) {
  const turn = uses.get(keeper)
  let done
  const own = new Promise((resolve) => (done = resolve))
  const all = turn === undefined ? own : turn.then(() => own)
  uses.set(keeper, all)
  const end = () => {
    done()
    if (uses.get(keeper) === all) uses.delete(keeper)
  }
  return { turn, end }
}

/** Takes the lease of a grant, after the renewal under way has ended. Returns its holder. */
async function takeLease(store, key, ms) {
  const holder = crypto.randomUUID().replaceAll('-', '')
  const start = performance.now()
  for (;;) {
    const held = (await store.lease(key, holder, ms)) ?? 0
    if (!(held > 0)) return holder
    if (performance.now() - start > ms) throw waitTimeoutError('the grant is renewed again and again')
    await pause(Math.min(held, POLL_INTERVAL))
  }
}

/**
 * The latest tokens of a grant, which no worker renews until `release` is called, or this many milliseconds are over.
 */
async function holdGrant(keeper, store, ms) {
  if (store === undefined) {
    const { turn, end } = useAlone(keeper)
    await turn
    const timer = setTimeout(end, ms)
    timer.unref?.()
    const release = () => {
      clearTimeout(timer)
      end()
    }
    return heldTokens(release, () => keeper.settledTokens())
  }
  const holder = await takeLease(store, keeper.key, ms)
  const release = async () => { await store.lease(keeper.key, holder, 0) }
  return heldTokens(release, async () => keeper.settledTokens((await store.load(keeper.key)) ?? undefined))
}

async function heldTokens(release, read) {
  try {
    return { tokens: await read(), release }
  } catch (error) {
    await release()
    throw error
  }
}

module.exports = { holdGrant, takeLease, useAlone }
