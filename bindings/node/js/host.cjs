'use strict'

// What the package needs from Node.js; edge/host.cjs replaces this file in runtimes without Node.js.

const { AsyncLocalStorage } = require('node:async_hooks')
const { channel } = require('node:diagnostics_channel')
const { pipeline, Readable } = require('node:stream')
const { fileURLToPath } = require('node:url')
const { inspect } = require('node:util')

/** The context of a call, which its awaits keep: `run` and `getStore`. */
const asyncContext = () => new AsyncLocalStorage()

/** The environment variables of the process. */
const environment = () => process.env

/** Lets the process exit while the timer is pending. */
const idle = (timer) => timer.unref()

/** Concatenates chunks of bytes. */
const joined = (chunks) => Buffer.concat(chunks)

/** The addon and `fetch` of Node.js, Bun and Deno send one. */
const userAgent = () => undefined

module.exports = {
  Readable, asyncContext, channel, environment, fileURLToPath, idle, inspect, joined, pipeline, userAgent,
  /** Clients without a `fetch` option send requests natively. */
  fetch: undefined,
  /** One request may wait for the promise of another, unlike in Workers. */
  isShared: true,
  /** The addon is a separate package, whose version may differ. */
  isOnePackage: false,
}
