'use strict'

// The tokens of step-up logins, kept beside those of the ordinary login. One record per user lists what they were
// required for, so that a logout ends them too.

const native = require('#native')
const { callNative, waitTimeoutError } = require('./errors.cjs')

/** The prefix of the names of the lists. */
const LISTS = 'step-ups:'
/** The number of grants beside an ordinary one: the oldest gives way to a new one. */
const BESIDE = 8
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
    return Array.isArray(listed) ? listed.map((one) => JSON.stringify(one)) : []
  } catch (error) {
    if (error instanceof SyntaxError) return []
    throw error
  }
}

/** Adds a step-up to the list of this grant, and returns those that give way to it. */
async function listBeside(store, key, added) {
  const name = LISTS + key
  for (let tries = 0; tries < TRIES; tries += 1) {
    const entry = await store.load(name)
    const listed = [...listedIn(entry).filter((one) => one !== added), added]
    const ousted = listed.splice(0, Math.max(0, listed.length - BESIDE))
    if ((await store.save(name, `[${listed.join(',')}]`, entry?.version ?? 0)) ?? undefined) return ousted
  }
  throw waitTimeoutError('others keep saving the record')
}

/** Takes the list of this grant away with `remove`, and returns its step-ups. */
async function takeBeside(store, key, remove) {
  const entry = await store.load(LISTS + key)
  if (!entry?.record) return []
  await remove(LISTS + key)
  return listedIn(entry)
}

/** Whether a record is such a list, and no grant. */
const isList = (key) => key.startsWith(LISTS)

module.exports = { distinguishing, isList, listBeside, takeBeside }
