'use strict'

// The tokens of step-up logins, kept beside those of the ordinary login. One record per user lists what they were
// required for, so that a logout ends them too. `grants/step_ups.rs` of oauth-session says why the order of the steps lets
// no grant be stored that is not listed.

const native = require('#native')
const { OAuthError, callNative, waitTimeoutError } = require('./errors.cjs')
const { takeLease } = require('./hold.cjs')
const { Keeper } = require('./keeper.cjs')

/** The prefix of the names of the lists. */
const LIST_PREFIX = 'step-ups:'
/** The number of grants beside an ordinary one: the oldest gives way to a new one. */
const MAX_STEP_UP_GRANTS = 8
/** The longest list: the oldest stay on it until they have been ended. */
const LISTED = 2 * MAX_STEP_UP_GRANTS
/** The number of attempts to save against concurrent workers. */
const MAX_SAVE_ATTEMPTS = 16
/** The longest times for which a login waits for its turn, and holds it, in milliseconds. */
const LONGEST_WAIT = 10_000
const LONGEST_TURN = 60_000

/** The stored state of a grant without tokens of a login. */
const nothing = Symbol('nothing')
const unreadable = Symbol('unreadable')

/** The requirement that identifies the grant of this step-up, as JSON; `undefined` for an ordinary one. */
function stepUpKey(stepUp) {
  if (stepUp === undefined) return undefined
  const text = typeof stepUp === 'string' ? stepUp : JSON.stringify(stepUp)
  return callNative(() => native.distinguishingStepUp(text)) ?? undefined
}

/** The listed step-ups, as JSON. Fails with `stored.malformed` if the list cannot be read. */
function listedIn(entry) {
  return callNative(() => native.listedStepUps(entry?.record ?? '')).slice(0, LISTED)
}

/** The listed step-ups, or what `otherwise` returns for the error of a list that cannot be read. */
function listedOr(entry, otherwise) {
  try {
    return listedIn(entry)
  } catch (error) {
    if (!(error instanceof OAuthError) || error.code !== 'stored.malformed') throw error
    return otherwise(error)
  }
}

/** Saves a list over the one that was read; an empty list is removed. Returns whether it was saved. */
async function saveList(store, name, listed, entry) {
  const text = listed.length === 0 ? '' : `[${listed.join(',')}]`
  return ((await store.save(name, text, entry?.version ?? 0)) ?? undefined) !== undefined
}

/** Adds a step-up to the list of this grant, as the newest. `makeRoom` ends some if the list is full. */
async function addStepUp(store, key, added, makeRoom) {
  const name = LIST_PREFIX + key
  for (let tries = 0; tries < MAX_SAVE_ATTEMPTS; tries += 1) {
    const entry = await store.load(name)
    // A list that cannot be read is rewritten: a logout has reported it, or will report the new one.
    const listed = listedOr(entry, () => []).filter((stepUp) => stepUp !== added)
    if (listed.length >= LISTED) await makeRoom()
    else if (await saveList(store, name, [...listed, added], entry)) return
  }
  throw waitTimeoutError('other workers keep saving the record')
}

/**
 * Ends some of the listed step-ups of this grant with `endSome`, which returns them, and takes them off the list. A list
 * that cannot be read is left as it is, unless `clear` gets the error.
 */
async function endBeside(store, key, endSome, clear) {
  const name = LIST_PREFIX + key
  for (let tries = 0; tries < MAX_SAVE_ATTEMPTS; tries += 1) {
    const entry = await store.load(name)
    if (!entry?.record) return
    const listed = clear === undefined ? listedIn(entry) : listedOr(entry, (error) => clear(error))
    const ended = await endSome(listed)
    if (ended.length === 0 && listed.length > 0) return
    if (await saveList(store, name, listed.filter((stepUp) => !ended.includes(stepUp)), entry)) return
  }
  throw waitTimeoutError('other workers keep saving the record')
}

/** What is stored of a grant: nothing, what cannot be read, or the login from which its tokens come. */
function foundIn(entry) {
  if (entry === unreadable) return unreadable
  return entry?.record ? (native.loginOf(entry.record) ?? unreadable) : nothing
}

/**
 * Chooses the step-ups that make room for others: those that have expired, those that were listed and never stored,
 * and the oldest beyond the number allowed. `load` returns the entry of one. Returns what was found with each.
 */
async function selectSurplus(listed, load) {
  const [over, kept] = [[], []]
  for (const stepUp of listed) {
    const entry = await load(stepUp)
    const found = foundIn(entry)
    const isOver = found === nothing || (found !== unreadable && native.isOver(entry.record))
    void (isOver ? over : kept).push({ stepUp, found })
  }
  return [...over, ...kept.slice(0, Math.max(0, kept.length - MAX_STEP_UP_GRANTS))]
}

/**
 * Takes the turn of a step-up, which a login holds until it is stored, so that no other worker ends it to make room.
 * Returns a function that ends the turn, or nothing if another worker still has it after so many milliseconds.
 */
async function takeTurn(store, keeper, wait = LONGEST_WAIT) {
  return takeLease(store, LIST_PREFIX + keeper.key, Keeper.leaseOfUse(keeper), { wait, limit: LONGEST_TURN })
}

/** Whether a record is such a list, and no grant. */
const isList = (key) => key.startsWith(LIST_PREFIX)

module.exports = { MAX_SAVE_ATTEMPTS, addStepUp, stepUpKey, endBeside, foundIn, isList, nothing, selectSurplus, takeTurn, unreadable }
