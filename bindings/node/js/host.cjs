'use strict'

// The functions of Node.js that the package uses; edge/host.cjs replaces this file in runtimes without Node.js.

const { channel } = require('node:diagnostics_channel')
const { pipeline, Readable } = require('node:stream')
const { fileURLToPath } = require('node:url')
const { inspect } = require('node:util')

/** The variables of the process. */
const environment = () => process.env

/** It keeps no process from ending. */
const idle = (timer) => timer.unref()

/** Chunks of bytes as one. */
const joined = (chunks) => Buffer.concat(chunks)

/** The addon and `fetch` of Node.js, Bun and Deno send one. */
const userAgent = () => undefined

module.exports = {
  Readable, channel, environment, fileURLToPath, idle, inspect, joined, pipeline, userAgent,
  /** Requests of clients that name no `fetch` go over the addon. */
  fetch: undefined,
  /** One request may wait for the promise of another, unlike in Workers. */
  isShared: true,
  /** The native half is a package of its own, and may be of another release. */
  isOnePackage: false,
}
