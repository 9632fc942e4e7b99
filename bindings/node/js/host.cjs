'use strict'

// What the package takes from where it runs; edge/host.cjs stands in its place where there is no Node.js.

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

module.exports = {
  Readable, channel, environment, fileURLToPath, idle, inspect, joined, pipeline,
  /** Requests of clients that name no `fetch` go over the addon. */
  fetch: undefined,
  /** What one request waits for, another may wait for too. */
  isShared: true,
  /** The native half is a package of its own, and may be of another release. */
  isOnePackage: false,
}
