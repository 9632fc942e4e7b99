'use strict'

// The refresh token of a grant, used outside its renewals, such as for an identity assertion. Meanwhile no worker renews
// the grant: a server that rotates refresh tokens revokes the grant if one is used twice.

const { idle } = require('#host')
const { pause } = require('./exchange.cjs')
const { waitTimeoutError } = require('./errors.cjs')
const { Keeper } = require('./keeper.cjs')

/** The pause between requests for a lease that another worker holds, in milliseconds. */
const POLL_INTERVAL = 250

/** The method of a source that holds its grant for this many milliseconds; it returns nothing if there is no grant to hold. */
const HOLD = Symbol('hold')

/**
 * Holds the grant of a source: `{ tokens, release }`, or nothing if it has none. A source of the application's own has the
 * grant that it names.
 */
async function acquireHold(source, ms) {
  if (source[HOLD] !== undefined) return source[HOLD](ms)
  const { grant } = source
  if (grant === undefined) return undefined
  if (grant?.[HOLD] === undefined) throw new TypeError('grant must be a GrantSource or a ResourceConnection')
  return grant[HOLD](ms)
}

/** The last use of the refresh token of each grant without a store. */
const uses = new WeakMap()

/** A use of the refresh token of a grant without a store: the `turn` to wait for, if another use is under way, and its `end`. */
function useAlone(keeper) {
  const turn = uses.get(keeper)
  let finish
  const thisUse = new Promise((resolve) => (finish = resolve))
  const allUses = turn === undefined ? thisUse : turn.then(() => thisUse)
  uses.set(keeper, allUses)
  const end = () => {
    finish()
    if (uses.get(keeper) === allUses) uses.delete(keeper)
  }
  return { turn, end }
}

/**
 * Extends a lease again and again, until the returned function is called, which waits for the extension under way. `onLost`
 * is called once another holder has it.
 */
function extendLease(store, key, { holder, ms, every }, onLost) {
  let extension
  const extend = async () => {
    // A store that does not answer may do so the next time.
    const remaining = await Promise.resolve().then(() => store.lease(key, holder, ms)).catch(() => undefined)
    extension = undefined
    if (!(remaining > 0)) return
    clearInterval(timer)
    onLost()
  }
  const timer = setInterval(() => { extension ??= extend() }, every)
  idle(timer)
  return async () => {
    clearInterval(timer)
    await extension
  }
}

/**
 * Takes a lease, for which it waits at most `wait` milliseconds if another holder has it, and extends it for at most
 * `limit`. Returns a function that releases it, or nothing if the other holder still has it.
 */
async function takeLease(store, key, lease, { wait, limit }, onLost = () => {}) {
  const start = performance.now()
  for (;;) {
    const remaining = (await store.lease(key, lease.holder, lease.ms)) ?? 0
    if (!(remaining > 0)) break
    if (performance.now() - start >= wait) return undefined
    await pause(Math.min(remaining, POLL_INTERVAL))
  }
  const stop = extendLease(store, key, lease, onLost)
  let released
  // A lease that could not be released ends with its time.
  const release = () => (released ??= stop().then(() => store.lease(key, lease.holder, 0)).catch(() => {}))
  const end = setTimeout(release, limit)
  idle(end)
  return async () => {
    clearTimeout(end)
    await release()
  }
}

/** Takes the lease of a grant, after the renewal under way has ended, for at most so many milliseconds. */
async function excludeRenewals(store, keeper, ms, onLost) {
  const release = await takeLease(store, keeper.key, Keeper.leaseOfUse(keeper), { wait: ms, limit: ms }, onLost)
  if (release === undefined) throw waitTimeoutError('the grant is renewed again and again')
  return release
}

/**
 * The latest tokens of a grant, which no worker renews until `release` is called or this many milliseconds have passed.
 */
async function holdGrant(keeper, store, ms, onLost) {
  if (store === undefined) {
    const { turn, end } = useAlone(keeper)
    await turn
    const timer = setTimeout(end, ms)
    idle(timer)
    const release = () => {
      clearTimeout(timer)
      end()
    }
    return heldTokens(release, () => keeper.settledTokens())
  }
  const release = await excludeRenewals(store, keeper, ms, onLost)
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

module.exports = { HOLD, excludeRenewals, extendLease, holdGrant, acquireHold, takeLease, useAlone }
