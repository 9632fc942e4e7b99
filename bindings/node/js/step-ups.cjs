'use strict'

// The tokens of step-up logins, kept beside those of the ordinary login. One record per user lists what they were
// required for, so that a logout ends them too. `grants/step_ups.rs` of oauth-session says why the order of the steps lets
// no grant be stored that is not listed.

const native = require('#native')
const { OAuthError, callNative, waitTimeoutError } = require('./errors.cjs')

/** The prefix of the names of the lists. */
const LISTS = 'step-ups:'
/** The number of grants beside an ordinary one: the oldest gives way to a new one. */
const BESIDE = 8
/** The longest list: the oldest stay on it until they have been ended. */
const LISTED = 2 * BESIDE
/** The number of attempts to save a list against concurrent workers. */
const TRIES = 16

/** What distinguishes the grant of this step-up, as JSON; nothing for an ordinary one. */
function distinguishing(wanted) {
  if (wanted === undefined) return undefined
  const text = typeof wanted === 'string' ? wanted : JSON.stringify(wanted)
  return callNative(() => native.distinguishingStepUp(text)) ?? undefined
}

/** The listed step-ups, as JSON. A list that cannot be read is written anew. */
function listedIn(entry) {
  try {
    const listed = JSON.parse(entry?.record || '[]')
    if (!Array.isArray(listed)) return []
    // One that requires nothing would be the ordinary grant.
    return listed.slice(0, LISTED).map((one) => JSON.stringify(one)).filter((one) => distinguishing(one) !== undefined)
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof OAuthError) return []
    throw error
  }
}

/** Saves a list over the one that was read; an empty list is removed. Returns whether it was saved. */
async function saveList(store, name, listed, entry) {
  const text = listed.length === 0 ? '' : `[${listed.join(',')}]`
  return ((await store.save(name, text, entry?.version ?? 0)) ?? undefined) !== undefined
}

/** Adds a step-up to the list of this grant, as the newest. `makeRoom` ends some if the list is full. */
async function listBeside(store, key, added, makeRoom) {
  const name = LISTS + key
  for (let tries = 0; tries < TRIES; tries += 1) {
    const entry = await store.load(name)
    const listed = listedIn(entry).filter((one) => one !== added)
    if (listed.length >= LISTED) await makeRoom()
    else if (await saveList(store, name, [...listed, added], entry)) return
  }
  throw waitTimeoutError('others keep saving the record')
}

/** Ends those of the listed step-ups of this grant that `choose` returns with `end`, and takes them off the list. */
async function endBeside(store, key, choose, end) {
  const name = LISTS + key
  for (let tries = 0; tries < TRIES; tries += 1) {
    const entry = await store.load(name)
    if (!entry?.record) return
    const listed = listedIn(entry)
    const ended = await choose(listed)
    if (ended.length === 0 && listed.length > 0) return
    for (const stepUp of ended) await end(stepUp)
    if (await saveList(store, name, listed.filter((one) => !ended.includes(one)), entry)) return
  }
  throw waitTimeoutError('others keep saving the record')
}

/** Chooses the oldest step-ups beyond the number allowed, and those for which `isOver` is true. */
async function surplusOf(listed, isOver) {
  const [ended, kept] = [[], []]
  for (const stepUp of listed) (await isOver(stepUp) ? ended : kept).push(stepUp)
  return [...ended, ...kept.slice(0, Math.max(0, kept.length - BESIDE))]
}

/** Whether a record is such a list, and no grant. */
const isList = (key) => key.startsWith(LISTS)

module.exports = { distinguishing, endBeside, isList, listBeside, surplusOf }
