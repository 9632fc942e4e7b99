'use strict'

// Refuses calls that would wait for the callback in which they are made.

const { asyncContext } = require('#host')
const { deadlockError } = require('./errors.cjs')

/** The innermost callback that a call is part of: whose it is, whether it is still running, and the callback around it. */
let context

/** How many callbacks are running. */
let runningCount = 0

/** This callback, or the nearest one around it that is still running. */
function runningCallback(callback) {
  while (callback !== undefined && !callback.isRunning) callback = callback.outer
  return callback
}

/** Calls a callback of this owner, a keeper or a connection, and waits for it. */
async function waitForCallback(owner, call) {
  context ??= asyncContext()
  const callback = { owner, isRunning: true, outer: runningCallback(context.getStore()) }
  runningCount += 1
  try {
    return await context.run(callback, call)
  } finally {
    runningCount -= 1
    callback.isRunning = false
  }
}

/** Throws in a running callback of such an owner: `call` would wait for it, and it for the call. */
function refuseInCallback(call, isOwner) {
  if (runningCount === 0) return
  let callback = runningCallback(context.getStore())
  while (callback !== undefined) {
    if (isOwner(callback.owner)) throw deadlockError(call)
    callback = runningCallback(callback.outer)
  }
}

module.exports = { refuseInCallback, waitForCallback }
