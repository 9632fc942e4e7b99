'use strict'

// Carries out the renewals that a `Keeper` decides on: calls the store and the server, and schedules upkeep.

const { channel: channelOf, idle } = require('#host')
const { endOfCallback, waitForCallback } = require('./callback-context.cjs')
const { errorForCaller, withoutCaller } = require('./errors.cjs')
const { checkLimit, pause, run, waitFor } = require('./exchange.cjs')
const { extendLease, useAlone } = require('./hold.cjs')
const { kindError } = require('./kinds.cjs')
const { checkOptions } = require('./options.cjs')

/** The longest time that a store call may take, in milliseconds. */
const MAX_STORE_CALL_MS = 30_000

/** Events of grants, for subscribers: `{ grant, what, error, ms }`, without secrets. */
const channel = channelOf('oauth-core:grant')

/** The renewal under way of each keeper, as a promise of its tokens. */
const runningRenewals = new WeakMap()

/** The last published state of each grant that has failed or ended. */
const publishedStanding = new WeakMap()

/** The keepers that are retrying a save. */
const retrying = new WeakSet()

/** The renewals and retried saves that a drain waits for. */
const atWork = new Set()

/** The keepers whose upkeep is scheduled. */
const scheduled = new WeakSet()

/** The longest timer: timers ignore changes of the wall clock, so it is checked at least this often. */
const LONGEST_TIMER_MS = 3_600_000

/** Ignores a rejection: no caller may be waiting for a renewal, or for the next attempt to save its tokens. */
const ignoreRejection = () => {}

/**
 * Returns fresh tokens: the current ones, or those of the renewal under way. `job` contains what a renewal needs:
 * `store`, `run` for its exchange, `signIn` if it has one, and `onTokens`; `onNotice` is called with each event of the
 * grant, and `turn` waits for a slot of the renewal limits. With `isAlone` there is no store, and the whole renewal is one
 * exchange.
 */
async function freshTokens(keeper, refused, job) {
  const decision = job.isAlone ? keeper.askAlone(refused) : keeper.ask(refused)
  const running = renewalUnderWay(keeper, decision, job)
  if (!running && !scheduled.has(keeper)) scheduleUpkeep(keeper, job)
  if (decision.tokens) return decision.tokens
  if (!running) throw new Error('a different driver is renewing this keeper')
  return running
}

/** The renewal under way. Starts one if the keeper decided to renew. */
function renewalUnderWay(keeper, { kind, renewal }, job) {
  if (kind === 'renew' || kind === 'use_and_renew') startRenewal(keeper, job, renewal)
  return runningRenewals.get(keeper)
}

/** The renewal of a grant that is under way, if there is one. */
function renewalOf(keeper) {
  return runningRenewals.get(keeper)
}

/** Starts a renewal; afterwards, unsaved tokens are saved again, and upkeep is scheduled. */
function startRenewal(keeper, job, renewal) {
  const worker = { keeper, job }
  atWork.add(worker)
  const running = runRenewal(keeper, job, renewal, () => {
    atWork.delete(worker)
    // The next renewal may have begun while `onTokens` of this one was running.
    if (runningRenewals.get(keeper) === running) runningRenewals.delete(keeper)
    retrySave(keeper, job).catch(ignoreRejection)
    scheduleUpkeep(keeper, job)
  })
  running.catch(ignoreRejection)
  runningRenewals.set(keeper, running)
  return running
}

/** The upkeep timers of keepers. */
const upkeepTimers = new WeakMap()

/** Schedules the upkeep of a grant whose token no caller requests. The timer does not keep an unused source in memory. */
function scheduleUpkeep(keeper, job) {
  scheduled.add(keeper)
  clearTimeout(upkeepTimers.get(keeper))
  const ms = keeper.upkeepAfter
  if (ms === undefined) return
  const [keeperRef, work] = [new WeakRef(keeper), new WeakRef(job)]
  const timer = setTimeout(() => {
    const [keeper, job] = [keeperRef.deref(), work.deref()]
    if (keeper && job) runUpkeep(keeper, job)
  }, Math.min(ms, LONGEST_TIMER_MS))
  // The timer does not keep the process running.
  idle(timer)
  upkeepTimers.set(keeper, timer)
}

/** Carries out the upkeep that is due, and returns the renewal, if one was started. */
function runUpkeep(keeper, job) {
  for (;;) {
    const due = job.isAlone ? keeper.upkeepAlone() : keeper.upkeep()
    if (due === undefined) break
    const end = due instanceof Date ? due : due.ends
    // The end of that renewal schedules upkeep again.
    if (end === undefined) return startRenewal(keeper, job, due.renewal)
    publish(job, keeper, 'authorization_ends', { at: end })
  }
  scheduleUpkeep(keeper, job)
  return undefined
}

/** Retries to store unsaved tokens, even if no caller requests any: no other worker can get them. */
async function retrySave(keeper, job) {
  if (job.store === undefined || keeper.isStored || retrying.has(keeper)) return
  retrying.add(keeper)
  const worker = { keeper, job }
  atWork.add(worker)
  try {
    for (let ms = keeper.retryAfter; ms !== undefined; ms = keeper.retryAfter) {
      // Lets the process exit even if the store never recovers.
      await pause(ms, undefined, { isIdle: true })
      if (!keeper.saveAgain()) continue
      await startRenewal(keeper, job).catch(() => {})
      if (keeper.isStored) publish(job, keeper, 'stored_late')
    }
  } finally {
    retrying.delete(keeper)
    atWork.delete(worker)
  }
}

/** Carries out a renewal, and passes new tokens to `onTokens`. */
async function runRenewal(keeper, job, renewal, finish) {
  try {
    const [tokens, isNew] = await renewalOutcome(keeper, job, renewal)
    // Tokens are stored before callers get them. If that fails, an event is published, and the tokens are kept in memory.
    if (isNew) {
      if (job.store !== undefined && !keeper.isStored) publish(job, keeper, 'unsaved')
      publish(job, keeper, 'renewed')
      if (typeof job.onTokens === 'function') await waitForCallback(keeper, () => job.onTokens(tokens))
    }
    return tokens
  } finally {
    finish()
  }
}

/** The tokens, and whether they are new. */
async function renewalOutcome(keeper, job, renewal) {
  try {
    const [tokens, isNew] = renewal ? [await runAlone(keeper, job, renewal), keeper.lastError === undefined] : await carryOutTasks(keeper, job)
    // A caller whose token is valid gets no error.
    if (renewal && isNew) publishedStanding.delete(keeper)
    else publishStanding(keeper, job, keeper.lastError)
    return [tokens, isNew]
  } catch (error) {
    if (!publishStanding(keeper, job, error)) publish(job, keeper, 'failed', { error })
    throw withoutCaller(error)
  }
}

/** Publishes that a grant has become suspect or has ended. Returns whether that was new. */
function publishStanding(keeper, job, error) {
  const { standing } = keeper
  const isNews = standing !== 'good' && standing !== publishedStanding.get(keeper)
  if (standing === 'good') publishedStanding.delete(keeper)
  else publishedStanding.set(keeper, standing)
  if (isNews) publish(job, keeper, standing, { error })
  return isNews
}

/** Notifies the listeners. */
function publish(job, keeper, event, more = {}) {
  // A failed sign-in supplies no subject token: listeners get the error of the sign-in, as callers do.
  const details = more.error === undefined || job.signIn === undefined ? more : { ...more, error: job.signIn.replaceError(more.error) }
  job.onNotice?.(event, details)
  if (channel.hasSubscribers) channel.publish({ grant: keeper.key, what: event, ...details })
}

/** Carries out the tasks of the keeper. Returns the tokens, and whether they are new. */
async function carryOutTasks(keeper, job) {
  const { store, run } = job
  const turn = job.turn?.()
  let isNew = false
  let release
  try {
    let task = keeper.begin()
    while (task.kind !== 'over') {
      if (task.kind === 'run') {
        const stop = extendWhileRunning(keeper, job)
        // With a store, a lease keeps others from the refresh token.
        if (store === undefined && release === undefined) {
          const { turn, end } = useAlone(keeper)
          release = end
          await turn
        }
        isNew = await run(task.exchange).then(() => true, () => false)
        stop()
        task = keeper.completed()
      } else if (task.kind === 'wait') {
        turn?.stepAside()
        await pause(task.ms)
        task = keeper.elapsed()
      } else {
        if (store === undefined) throw new TypeError('store must be given: this keeper is shared')
        if (task.kind === 'lease' && task.ms > 0) await turn?.come()
        const applyResult = await callStoreFor(store, keeper, task, job)
        task = applyResult(keeper)
      }
    }
    return [task.tokens, isNew]
  } catch (error) {
    // Has no effect after the last task.
    keeper.abandon()
    throw error
  } finally {
    release?.()
    turn?.stepAside()
  }
}

/** The whole renewal of a grant that is not shared. */
async function runAlone(keeper, { run }, renewal) {
  const { turn, end } = useAlone(keeper)
  try {
    // A renewal that need not wait has begun when this returns: closing the source then waits for it.
    if (turn !== undefined) await turn
    return await run(renewal)
  } finally {
    end()
  }
}

/** Extends the lease while a request runs, so that the lease can be short. Losing it is only published. */
function extendWhileRunning(keeper, job) {
  const lease = keeper.leaseExtension
  if (lease === undefined || job.store === undefined) return () => {}
  return extendLease(job.store, keeper.key, lease, () => publish(job, keeper, 'lease_lost'))
}

/** Shuts down all grants of this process gracefully. */
async function drain(options) {
  await drainKeepers(() => true, options)
}

/**
 * Shuts some keepers down gracefully: no new renewal begins, requests that were sent are finished, and their tokens are
 * stored. `begin` is called first, outside the callbacks of keepers for which this waits.
 */
async function drainKeepers(isDraining, options, begin = () => {}) {
  const { timeoutMs = 10_000, signal } = checkOptions('a call', options)
  checkLimit(timeoutMs)
  const outside = endOfCallback('drain', (owner) => [...atWork].some(({ keeper }) => keeper === owner && isDraining(keeper)))
  const ended = async () => {
    if (outside !== undefined) await outside
    begin()
    for (;;) {
      const remaining = [...atWork].filter(({ keeper }) => isDraining(keeper) && (runningRenewals.has(keeper) || !keeper.isStored))
      if (remaining.length === 0) return
      await Promise.all(remaining.map(({ keeper, job }) => drainKeeper(keeper, job)))
    }
  }
  try {
    await waitFor(ended(), { signal, timeoutMs })
  } catch (error) {
    throw errorForCaller(error)
  }
}

/** Finishes the renewal of one keeper, and stores its tokens. */
async function drainKeeper(keeper, job) {
  keeper.drain()
  await runningRenewals.get(keeper)?.catch(() => {})
  if (!keeper.isStored && keeper.saveAgain()) await startRenewal(keeper, job).catch(() => {})
  // `retrySave` may be waiting between attempts, and a failed save needs a pause as well.
  await pause(keeper.isStored ? 0 : 50)
}

/** Carries out a store task. Returns a function that passes the result to the keeper. */
async function callStoreFor(store, keeper, task, job) {
  const { key } = keeper
  try {
    return await withinStoreTimeout(tasks[task.kind](store, key, task, (ms) => publish(job, keeper, 'waits', { ms })))
  } catch (error) {
    const isUnreadable = error?.code === 'stored.sealed' || error?.code === 'stored.malformed'
    if (task.kind !== 'load' || !isUnreadable || !keeper.isSavingLogin) return (keeper) => keeper.failed(error)
    return removeUnreadable(store, key).catch((error) => (keeper) => keeper.failed(error))
  }
}

/**
 * Removes a record that the store cannot read, or that no key opens, since it would block every login. The keeper then
 * treats the record as unreadable.
 */
async function removeUnreadable(store, key) {
  await withinStoreTimeout(store.remove(key))
  const removed = (await withinStoreTimeout(store.load(key))) ?? undefined
  return (keeper) => keeper.loaded(removed && { version: removed.version, record: 'unreadable' })
}

/** The calls of a store, with their results checked. */
const storeCalls = {
  async load(store, key) {
    const entry = (await store.load(key)) ?? undefined
    if (entry !== undefined && !(isVersion(entry.version) && typeof entry.record === 'string')) {
      throw new TypeError('load must return { version, record } or nothing')
    }
    return entry
  },
  async save(store, key, { record, version, due, until }) {
    const saved = (await store.save(key, record, version, due, until)) ?? undefined
    if (saved !== undefined && !isVersion(saved)) throw new TypeError('save must return the new version, or nothing')
    return saved
  },
  async lease(store, key, { holder, ms }) {
    const remainingLeaseMs = (await store.lease(key, holder, ms)) ?? 0
    if (!(typeof remainingLeaseMs === 'number' && remainingLeaseMs >= 0)) throw new TypeError('lease must return milliseconds, or nothing')
    return remainingLeaseMs
  },
}

/** The store call of each task, returning a function that passes the result to the keeper. */
const tasks = {
  async load(store, key) {
    const entry = await storeCalls.load(store, key)
    return (keeper) => keeper.loaded(entry)
  },
  async save(store, key, task) {
    const saved = await storeCalls.save(store, key, task)
    return (keeper) => keeper.saved(saved)
  },
  async lease(store, key, task, waits) {
    const remainingLeaseMs = await storeCalls.lease(store, key, task)
    if (remainingLeaseMs > 0) waits(remainingLeaseMs)
    return (keeper) => keeper.leased(remainingLeaseMs)
  },
}

const isVersion = (value) => Number.isSafeInteger(value) && value > 0

/** The result of a store call, or an error if the store does not answer in time. */
function withinStoreTimeout(storeCall) {
  let timer
  const late = new Promise((_, fail) => {
    timer = setTimeout(() => fail(new DOMException('the store did not answer in time', 'TimeoutError')), MAX_STORE_CALL_MS)
  })
  return Promise.race([storeCall, late]).finally(() => clearTimeout(timer))
}

/** Returns the store, after checking that it has the methods of a store. */
function checkStore(store) {
  if (store === undefined) return undefined
  for (const verb of ['load', 'save', 'lease']) {
    if (typeof store?.[verb] !== 'function') throw kindError(`store must have a method ${verb}`, store)
  }
  return store
}

/** Returns fresh tokens of a keeper, over your own store and `fetch`. */
async function keep(keeper, options) {
  const { store, refused, onTokens, fetch, send, sign, requestTimeoutMs, signal, timeoutMs } = checkOptions('keep', options)
  if (typeof keeper?.ask !== 'function') throw new TypeError('keeper must be a Keeper')
  signal?.throwIfAborted()
  checkLimit(timeoutMs)
  const job = { store: checkStore(store), onTokens, run: (exchange) => run(exchange, { fetch, send, sign, requestTimeoutMs }) }
  try {
    return await waitFor(freshTokens(keeper, refused, job), { signal, timeoutMs })
  } catch (error) {
    throw errorForCaller(error)
  }
}

module.exports = { checkStore, drain, drainKeepers, freshTokens, keep, publish, renewalOf, renewalUnderWay, runUpkeep, storeCalls }
