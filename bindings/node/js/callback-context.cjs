'use strict'

// Refuses calls that wait for the callback in which they are made, while the callback waits for them.

const { asyncContext } = require('#host')
const { deadlockError } = require('./errors.cjs')

/** How long a call waits for the callback in which it is made to end, in milliseconds: it ends if it does not wait for the call. */
const MAX_WAIT_MS = 1000

/** The innermost callback that a call is part of: whose it is, while it is running, and the callback around it. */
let context

/** The number of running callbacks. */
let runningCount = 0

/** This callback, or the nearest one around it that is still running. */
function runningCallback(callback) {
  while (callback !== undefined && callback.owner === undefined) callback = callback.outer
  return callback
}

/** Calls a callback of this owner, a keeper or a connection, and waits for it. */
async function waitForCallback(owner, call) {
  context ??= asyncContext()
  let end
  const ended = new Promise((resolve) => (end = resolve))
  const callback = { owner, ended, outer: runningCallback(context.getStore()) }
  runningCount += 1
  try {
    return await context.run(callback, call)
  } finally {
    runningCount -= 1
    // Timers made in the callback keep this object in memory, and must not keep the owner.
    callback.owner = undefined
    callback.outer = runningCallback(callback.outer)
    end()
  }
}

/**
 * In a running callback of such an owner, a promise that resolves when the callback has ended, and rejects if it is still
 * running after a second, since it seems to wait for `call`, which would wait for it. Elsewhere nothing.
 */
function endOfCallback(call, isOwner) {
  if (runningCount === 0) return undefined
  const callbacks = []
  for (let callback = runningCallback(context.getStore()); callback !== undefined; callback = runningCallback(callback.outer)) {
    if (isOwner(callback.owner)) callbacks.push(callback)
  }
  return callbacks.length === 0 ? undefined : endInTime(call, callbacks)
}

/** Waits for the end of these callbacks. The timer may be all that keeps the process running. */
async function endInTime(call, callbacks) {
  let timer
  const afterTimeout = new Promise((resolve) => {
    timer = setTimeout(resolve, MAX_WAIT_MS, true)
  })
  const isLate = await Promise.race([afterTimeout, Promise.all(callbacks.map(({ ended }) => ended)).then(() => false)])
  clearTimeout(timer)
  if (isLate) throw deadlockError(call)
}

module.exports = { endOfCallback, waitForCallback }
