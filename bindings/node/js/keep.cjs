'use strict'

const { checkLimit, pause, run, wait } = require('./exchange.cjs')

/** How long a store may take, in milliseconds. */
const PATIENCE = 30_000

/** The renewals under way. */
const flights = new WeakMap()

/**
 * Tokens that are fresh: those at hand, or those of the renewal under way. `job` is how a renewal is
 * carried out: `store`, `run` for its exchange, and `onTokens`.
 */
async function fresh(keeper, refused, job) {
  const turn = keeper.ask(refused)
  const flight = launched(keeper, turn, job)
  if (turn.tokens) return turn.tokens
  if (!flight) throw new Error('another driver renews this keeper')
  return flight
}

/** The renewal under way, begun if this turn says so. */
function launched(keeper, { kind }, job) {
  if (kind === 'renew' || kind === 'hand_out_and_renew') {
    const flight = renewed(keeper, job).finally(() => {
      // The next may have begun while the hook of this one was waited for.
      if (flights.get(keeper) === flight) flights.delete(keeper)
    })
    // Nobody may be waiting for it.
    flight.catch(() => {})
    flights.set(keeper, flight)
  }
  return flights.get(keeper)
}

/** Carries out a renewal, and tells of new tokens. */
async function renewed(keeper, { store, run, onTokens }) {
  const [tokens, isNew] = await carried(keeper, store, run)
  // Stored before anyone sees it. Should that fail, they are told, and the token is kept.
  if (isNew) await onTokens?.(tokens)
  return tokens
}

/** Does what the keeper says, to the end: the tokens, and whether they are new. */
async function carried(keeper, store, run) {
  let isNew = false
  try {
    let task = keeper.begin()
    while (task.kind !== 'over') {
      if (task.kind === 'run') {
        isNew = await run(task.exchange).then(() => true, () => false)
        task = keeper.flown()
      } else if (task.kind === 'wait') {
        await pause(task.ms)
        task = keeper.elapsed()
      } else {
        if (store === undefined) throw new TypeError('this keeper is shared, so it needs a store')
        const answer = await asked(store, keeper, task)
        task = answer(keeper)
      }
    }
    return [task.tokens, isNew]
  } catch (error) {
    // After the last task this changes nothing.
    keeper.abandon()
    throw error
  }
}

/** What the store says to a task, as the call that tells the keeper. */
async function asked(store, keeper, task) {
  const { key } = keeper
  try {
    return await inTime(verbs[task.kind](store, key, task))
  } catch (error) {
    if (task.kind !== 'load' || error?.code !== 'stored.sealed' || !keeper.isEntering) return (keeper) => keeper.failed(error)
    return cleared(store, key).catch((error) => (keeper) => keeper.failed(error))
  }
}

/** A record that no key opens would stand in the way of every login: it is told as one that nobody can read. */
async function cleared(store, key) {
  await inTime(store.remove(key))
  const removed = (await inTime(store.load(key))) ?? undefined
  return (keeper) => keeper.loaded(removed && { version: removed.version, record: 'sealed with another key' })
}

const verbs = {
  async load(store, key) {
    const entry = (await store.load(key)) ?? undefined
    if (entry !== undefined && !(isVersion(entry.version) && typeof entry.record === 'string')) {
      throw new TypeError('load gives { version, record } or nothing')
    }
    return (keeper) => keeper.loaded(entry)
  },
  async save(store, key, { record, version, due }) {
    const saved = (await store.save(key, record, version, due)) ?? undefined
    if (saved !== undefined && !isVersion(saved)) throw new TypeError('save gives the new version, or nothing')
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

/** Tokens that are fresh, over a store and a `fetch` of your own. */
async function keep(keeper, options = {}) {
  const { store, refused, onTokens, fetch, sign, requestTimeoutMs, signal, timeoutMs } = options
  signal?.throwIfAborted()
  checkLimit(timeoutMs)
  const job = { store: checkStore(store), onTokens, run: (exchange) => run(exchange, { fetch, sign, requestTimeoutMs }) }
  return wait(fresh(keeper, refused, job), { signal, timeoutMs })
}

module.exports = { fresh, keep, launched, checkStore }
