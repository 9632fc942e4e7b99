'use strict'

// Carries out a renewal: the tasks of the keeper, with the store and the driver.

const { channel: channelOf, idle } = require('#host')
const { checkLimit, pause, run, wait } = require('./exchange.cjs')
const { optionsOf } = require('./options.cjs')

/** How long a store may take, in milliseconds. */
const PATIENCE = 30_000

/** Events of grants, for subscribers: `{ grant, what, error, ms }`, without secrets. */
const channel = channelOf('oauth-core:grant')

/** The renewals under way. */
const flights = new WeakMap()

/**
 * The last reported state of each grant that has failed or ended; the keepers that are retrying a save; the renewals
 * and retried saves that a drain waits for.
 */
const told = new WeakMap()
const tended = new WeakSet()
const atWork = new Set()

/** The keepers whose upkeep is scheduled; and the longest timer, because the wall clock may be set meanwhile. */
const lookedAfter = new WeakSet()
const LONGEST_SLEEP = 3_600_000

/** Ignores a rejection: no caller may be waiting for a renewal, or for the next attempt to save its tokens. */
const unheard = () => {}

/**
 * Fresh tokens: the current ones, or those of the renewal under way. `job` has what a renewal needs: `store`, `run` for
 * its exchange, and `onTokens`; `onEnded` is called when the grant has ended. With `isAlone` there is no store, and the
 * whole renewal is one exchange, whose requests are sent from here.
 */
async function fresh(keeper, refused, job) {
  const decision = job.isAlone ? keeper.askAlone(refused) : keeper.ask(refused)
  const flight = launched(keeper, decision, job)
  if (!flight && !lookedAfter.has(keeper)) lookAfter(keeper, job)
  if (decision.tokens) return decision.tokens
  if (!flight) throw new Error('another driver renews this keeper')
  return flight
}

/** The renewal under way, begun if this decision says so. */
function launched(keeper, { kind, renewal }, job) {
  if (kind === 'renew' || kind === 'use_and_renew') launch(keeper, job, renewal)
  return flights.get(keeper)
}

function launch(keeper, job, renewal) {
  const worker = { keeper, job }
  atWork.add(worker)
  const flight = renewed(keeper, job, renewal, () => {
    atWork.delete(worker)
    // The next may have begun while the hook of this one was waited for.
    if (flights.get(keeper) === flight) flights.delete(keeper)
    tend(keeper, job).catch(unheard)
    lookAfter(keeper, job)
  })
  flight.catch(unheard)
  flights.set(keeper, flight)
  return flight
}

/** The timers of those that have to be looked after. */
const alarms = new WeakMap()

/** Wakes when something is to be done for a grant though nobody asks. A grant that nobody holds is not kept for that. */
function lookAfter(keeper, job) {
  lookedAfter.add(keeper)
  clearTimeout(alarms.get(keeper))
  const ms = keeper.upkeepAfter
  if (ms === undefined) return
  const [known, work] = [new WeakRef(keeper), new WeakRef(job)]
  const alarm = setTimeout(() => {
    const [keeper, job] = [known.deref(), work.deref()]
    if (keeper && job) upkeep(keeper, job)
  }, Math.min(ms, LONGEST_SLEEP))
  // It must not keep the process from ending.
  idle(alarm)
  alarms.set(keeper, alarm)
}

/** Does what is to be done for a grant now though nobody asks; the renewal, if there is one. */
function upkeep(keeper, job) {
  for (;;) {
    const told = job.isAlone ? keeper.upkeepAlone() : keeper.upkeep()
    if (told === undefined) break
    const end = told instanceof Date ? told : told.ends
    // Its end looks after the grant again.
    if (end === undefined) return launch(keeper, job, told.renewal)
    tell(job, keeper, 'authorization_ends', { at: end })
  }
  lookAfter(keeper, job)
  return undefined
}

/** Tries to store what the store has not got yet, whether or not anybody asks: nobody else can have it. */
async function tend(keeper, job) {
  if (job.store === undefined || keeper.isStored || tended.has(keeper)) return
  tended.add(keeper)
  const worker = { keeper, job }
  atWork.add(worker)
  try {
    for (let ms = keeper.retryAfter; ms !== undefined; ms = keeper.retryAfter) {
      // A store that never answers again must not keep the process from ending.
      await pause(ms, undefined, { isIdle: true })
      if (!keeper.saveAgain()) continue
      await launch(keeper, job).catch(() => {})
      if (keeper.isStored) tell(job, keeper, 'stored_late')
    }
  } finally {
    tended.delete(keeper)
    atWork.delete(worker)
  }
}

/** Carries out a renewal, and tells of new tokens. */
async function renewed(keeper, job, renewal, over) {
  try {
    const [tokens, isNew] = await outcome(keeper, job, renewal)
    // Stored before anyone sees it. Should that fail, they are told, and the token is kept.
    if (isNew) {
      if (job.store !== undefined && !keeper.isStored) tell(job, keeper, 'unsaved')
      tell(job, keeper, 'renewed')
      await job.onTokens?.(tokens)
    }
    return tokens
  } finally {
    over()
  }
}

/** The tokens, and whether they are new. */
async function outcome(keeper, job, renewal) {
  try {
    const [tokens, isNew] = renewal ? [await job.run(renewal), keeper.lastError === undefined] : await carried(keeper, job)
    // A caller whose token is valid gets no error.
    if (renewal && isNew) told.delete(keeper)
    else toldStanding(keeper, job, keeper.lastError)
    return [tokens, isNew]
  } catch (error) {
    if (!toldStanding(keeper, job, error)) tell(job, keeper, 'failed', { error })
    throw error
  }
}

/** Tells of a grant that has become suspect, or is over; whether there was that to tell. */
function toldStanding(keeper, job, error) {
  const { standing } = keeper
  const isNews = standing !== 'good' && standing !== told.get(keeper)
  if (standing === 'good') told.delete(keeper)
  else told.set(keeper, standing)
  if (isNews) tell(job, keeper, standing, { error })
  return isNews
}

/** Notifies the listeners. */
function tell(job, keeper, what, more = {}) {
  job.onNotice?.(what, more)
  if (channel.hasSubscribers) channel.publish({ grant: keeper.key, what, ...more })
}

/** Does what the keeper says, to the end: the tokens, and whether they are new. */
async function carried(keeper, job) {
  const { store, run } = job
  const turn = job.turn?.()
  let isNew = false
  try {
    let task = keeper.begin()
    while (task.kind !== 'over') {
      if (task.kind === 'run') {
        const stop = extended(keeper, job)
        isNew = await run(task.exchange).then(() => true, () => false)
        stop()
        task = keeper.completed()
      } else if (task.kind === 'wait') {
        turn?.stepAside()
        await pause(task.ms)
        task = keeper.elapsed()
      } else {
        if (store === undefined) throw new TypeError('this keeper is shared, so it needs a store')
        if (task.kind === 'lease' && task.ms > 0) await turn?.come()
        const answer = await asked(store, keeper, task, job)
        task = answer(keeper)
      }
    }
    return [task.tokens, isNew]
  } catch (error) {
    // After the last task this changes nothing.
    keeper.abandon()
    throw error
  } finally {
    turn?.stepAside()
  }
}

/** Extends the lease while a request runs, so that it can be short; the outcome changes nothing here. */
function extended(keeper, job) {
  const { holder, ms, every } = keeper.leaseExtension ?? {}
  if (holder === undefined || job.store === undefined) return () => {}
  const timer = setInterval(async () => {
    const held = await Promise.resolve().then(() => job.store.lease(keeper.key, holder, ms)).catch(() => undefined)
    if (!(held > 0)) return
    clearInterval(timer)
    tell(job, keeper, 'lease_lost')
  }, every)
  idle(timer)
  return () => clearInterval(timer)
}

/** Shuts down all grants of this process gracefully. */
async function drain(options) {
  return drainSome(() => true, options)
}

/**
 * Ends in good order what is under way with some keepers: nothing is renewed from here on, what was sent is finished,
 * and what it has brought is stored.
 */
async function drainSome(isOurs, options) {
  const { timeoutMs = 10_000, signal } = optionsOf('a call', options)
  checkLimit(timeoutMs)
  const ended = async () => {
    for (;;) {
      const ours = [...atWork].filter(({ keeper }) => isOurs(keeper) && (flights.has(keeper) || !keeper.isStored))
      if (ours.length === 0) return
      await Promise.all(ours.map(({ keeper, job }) => drained(keeper, job)))
    }
  }
  await wait(ended(), { signal, timeoutMs })
}

async function drained(keeper, job) {
  keeper.drain()
  await flights.get(keeper)?.catch(() => {})
  if (!keeper.isStored && keeper.saveAgain()) await launch(keeper, job).catch(() => {})
  // One that tends it is in a pause, and one that stores it in vain needs one.
  await pause(keeper.isStored ? 0 : 50)
}

/** What the store says to a task, as the call that tells the keeper. */
async function asked(store, keeper, task, job) {
  const { key } = keeper
  try {
    return await inTime(tasks[task.kind](store, key, task, (ms) => tell(job, keeper, 'waits', { ms })))
  } catch (error) {
    const isUnreadable = error?.code === 'stored.sealed' || error?.code === 'stored.malformed'
    if (task.kind !== 'load' || !isUnreadable || !keeper.isSavingLogin) return (keeper) => keeper.failed(error)
    return cleared(store, key).catch((error) => (keeper) => keeper.failed(error))
  }
}

/**
 * A record that the store cannot read, or that no key opens, would stand in the way of every login: it is told as one
 * that nobody can read.
 */
async function cleared(store, key) {
  await inTime(store.remove(key))
  const removed = (await inTime(store.load(key))) ?? undefined
  return (keeper) => keeper.loaded(removed && { version: removed.version, record: 'unreadable' })
}

/** Asks a store, and sees that what it gives is an answer. */
const verbs = {
  async load(store, key) {
    const entry = (await store.load(key)) ?? undefined
    if (entry !== undefined && !(isVersion(entry.version) && typeof entry.record === 'string')) {
      throw new TypeError('load gives { version, record } or nothing')
    }
    return entry
  },
  async save(store, key, { record, version, due, until }) {
    const saved = (await store.save(key, record, version, due, until)) ?? undefined
    if (saved !== undefined && !isVersion(saved)) throw new TypeError('save gives the new version, or nothing')
    return saved
  },
  async lease(store, key, { holder, ms }) {
    const held = (await store.lease(key, holder, ms)) ?? 0
    if (!(typeof held === 'number' && held >= 0)) throw new TypeError('lease gives milliseconds, or nothing')
    return held
  },
}

/** The same, as the calls that tell a keeper. */
const tasks = {
  async load(store, key) {
    const entry = await verbs.load(store, key)
    return (keeper) => keeper.loaded(entry)
  },
  async save(store, key, task) {
    const saved = await verbs.save(store, key, task)
    return (keeper) => keeper.saved(saved)
  },
  async lease(store, key, task, waits) {
    const held = await verbs.lease(store, key, task)
    if (held > 0) waits(held)
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

/** Tokens that are fresh, over your own store and `fetch`. */
async function keep(keeper, options) {
  const { store, refused, onTokens, fetch, send, sign, requestTimeoutMs, signal, timeoutMs } = optionsOf('keep', options)
  if (typeof keeper?.ask !== 'function') throw new TypeError('keeper must be a Keeper')
  signal?.throwIfAborted()
  checkLimit(timeoutMs)
  const job = { store: checkStore(store), onTokens, run: (exchange) => run(exchange, { fetch, send, sign, requestTimeoutMs }) }
  return wait(fresh(keeper, refused, job), { signal, timeoutMs })
}

module.exports = { checkStore, drain, drainSome, fresh, keep, launched, upkeep, verbs }
