'use strict'

const { failureOf, lifted } = require('./errors.cjs')
const { textOf, pause } = require('./exchange.cjs')
const { Tokens } = require('./tokens.cjs')

/** How long a store may take, in milliseconds. */
const PATIENCE = 30_000

/**
 * Carries out a renewal: does what the keeper says, with the store and `run`, to the end. Gives the
 * tokens, and whether they are new.
 */
async function keep(keeper, store, run) {
  let task
  let isNew = false
  try {
    task = lifted(() => keeper.begin())
    for (;;) {
      const { kind } = task
      if (kind === 'over') return [new Tokens(task.tokens), isNew]
      if (kind === 'run') {
        isNew = await run(task.exchange).then(() => true, () => false)
        task = lifted(() => keeper.flown())
      } else if (kind === 'wait') {
        await pause(task.ms)
        task = lifted(() => keeper.elapsed())
      } else {
        const answer = await asked(store, keeper.key, task)
        task = lifted(() => answer(keeper))
      }
    }
  } catch (error) {
    // After the last task this changes nothing.
    keeper.abandon()
    throw error
  }
}

/** What the store says to a task, as the call that tells the keeper. */
async function asked(store, key, task) {
  try {
    return await inTime(verbs[task.kind](store, key, task))
  } catch (error) {
    const failure = failureOf(error)
    return (keeper) => (failure ? keeper.failedWith(failure) : keeper.failed(textOf(error)))
  }
}

const verbs = {
  async load(store, key) {
    const entry = await store.load(key)
    if (entry === undefined || entry === null) return (keeper) => keeper.loaded()
    const { version, record } = entry
    if (!isVersion(version) || typeof record !== 'string') throw new TypeError('load gives { version, record } or nothing')
    return (keeper) => keeper.loaded(version, record)
  },
  async save(store, key, { record, version }) {
    const saved = await store.save(key, record, version)
    if (saved === undefined || saved === null) return (keeper) => keeper.saved()
    if (!isVersion(saved)) throw new TypeError('save gives the new version, or nothing')
    return (keeper) => keeper.saved(saved)
  },
  async lease(store, key, { holder, ms }) {
    const held = (await store.lease(key, holder, ms)) ?? 0
    if (!(typeof held === 'number' && held >= 0)) throw new TypeError('lease gives milliseconds, or nothing')
    return (keeper) => keeper.leased(held)
  },
}

const isVersion = (value) => Number.isSafeInteger(value) && value > 0

function inTime(answer) {
  let timer
  const late = new Promise((_, fail) => {
    timer = setTimeout(() => fail(new DOMException('the store gave no answer in time', 'TimeoutError')), PATIENCE)
  })
  return Promise.race([answer, late]).finally(() => clearTimeout(timer))
}

/** A store as it was given, if it is one. */
function checkStore(store) {
  if (store === undefined) return undefined
  for (const verb of ['load', 'save', 'lease']) {
    if (typeof store?.[verb] !== 'function') throw new TypeError(`store must have a method ${verb}`)
  }
  return store
}

module.exports = { keep, checkStore }
