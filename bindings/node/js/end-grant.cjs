'use strict'

// Ends a grant: revokes its tokens and removes its record. grants.cjs ends the step-ups beside it in a pool, and
// logout.cjs the session of the user at the server.

const { endOfCallback } = require('./callback-context.cjs')
const { waitTimeoutError } = require('./errors.cjs')
const { waitFor } = require('./exchange.cjs')
const { excludeRenewals, useAlone } = require('./hold.cjs')
const { Keeper } = require('./keeper.cjs')
const { renewalOf } = require('./renewal.cjs')

/** The longest time that a logout waits for a renewal under way, in milliseconds. */
const MAX_WAIT = 45_000

/**
 * Ends one grant, and none beside it; a login of this worker that is not stored yet ends, too. The record is removed even
 * if `revoke` fails.
 */
async function endGrant(keeper, store, revoke) {
  const outside = endOfCallback('logOut', (owner) => owner === keeper)
  if (outside !== undefined) await outside
  if (store === undefined) return revoke(await endLocalLogin(keeper))
  const failures = []
  const attempt = (work) => work().catch((error) => void failures.push(error))
  const endUnsaved = () => attempt(async () => revoke(Keeper.endUnsavedLogin(keeper)))
  // Before the store is needed: it may be why the login is not stored.
  await endUnsaved()
  const release = await excludeRenewals(store, keeper, MAX_WAIT, () => {})
  // One that came while the lease was waited for.
  await endUnsaved()
  await attempt(async () => {
    await reload(store, keeper)
    await revoke(keeper.tokens)
  })
  try {
    await removeRecord(store, keeper.key)
  } finally {
    await release()
  }
  await reload(store, keeper)
  if (failures.length > 0) throw failures[0]
  return undefined
}

/** Ends the login of a grant without a store, after the renewal under way, and returns its tokens. */
async function endLocalLogin(keeper) {
  let isLate = false
  const end = async () => {
    while (!isLate) {
      const use = useAlone(keeper)
      let renewal
      try {
        // Another use of the refresh token ends first.
        await use.turn
        renewal = renewalOf(keeper)
        if (renewal === undefined && !isLate) return Keeper.endUnsavedLogin(keeper)
      } finally {
        use.end()
      }
      // Its callers get its outcome.
      await renewal?.catch(() => {})
    }
    return undefined
  }
  return waitFor(end(), { timeoutMs: MAX_WAIT }, () => { isLate = true })
}

/** Reads the record again. */
async function reload(store, keeper) {
  const entry = await store.load(keeper.key)
  if (entry) keeper.learn(entry)
}

/** Removes a record. */
async function removeRecord(store, key) {
  if (typeof store.remove === 'function') return store.remove(key)
  for (let tries = 0; tries < 16; tries += 1) {
    const { version } = (await store.load(key)) ?? { version: 0 }
    // An empty record is a tombstone.
    if ((await store.save(key, '', version)) ?? undefined) return undefined
  }
  throw waitTimeoutError('other workers keep saving the record')
}

/** Revokes tokens of a client's grant, if there are any, and the server has an endpoint for that. */
async function revokeTokens(client, tokens) {
  if (tokens === undefined || client.server.metadata.revocation_endpoint === undefined) return
  const { refreshToken, accessToken } = tokens
  await client.revoke(refreshToken === undefined
    ? { token: accessToken, tokenTypeHint: 'access_token' }
    : { token: refreshToken, tokenTypeHint: 'refresh_token' })
}

module.exports = { MAX_WAIT, endGrant, reload, removeRecord, revokeTokens }
