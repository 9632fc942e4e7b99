'use strict'

// Replaces the functions of Node.js (`host.cjs`) in Workers and edge runtimes.

/** `console.log` does not use `inspect.custom` there; a direct call shows the members as JSON. */
function inspect(value) {
  return JSON.stringify(value)
}
inspect.custom = Symbol.for('nodejs.util.inspect.custom')

/** A channel without subscribers. */
const channel = () => ({ hasSubscribers: false, publish() {} })

/** The environment variables; empty without a process, where they are passed in. */
const environment = () => globalThis.process?.env ?? {}

const idle = () => {}

/** Chunks of bytes as one. */
function joined(chunks) {
  const bytes = new Uint8Array(chunks.reduce((length, chunk) => length + chunk.length, 0))
  let at = 0
  for (const chunk of chunks) {
    bytes.set(chunk, at)
    at += chunk.length
  }
  return bytes
}

/** Workers send none, and some APIs refuse requests without one, such as that of GitHub. */
const userAgent = () => require('#native').userAgent()

module.exports = {
  channel, environment, idle, inspect, joined, userAgent,
  fetch: (input, init) => globalThis.fetch(input, init),
  /** A request that ends cancels its own fetches, so no other request may wait for them. */
  isShared: false,
  /** The WebAssembly module is part of this package. It may be loaded after the other modules. */
  isOnePackage: true,
}
