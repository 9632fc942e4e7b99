'use strict'

// What stands in the place of Node.js in Workers and edge runtimes.

/** `console.log` there asks nobody how an object wants to be shown; who asks themselves gets its members. */
function inspect(value) {
  return JSON.stringify(value)
}
inspect.custom = Symbol.for('nodejs.util.inspect.custom')

/** Nobody subscribes. */
const channel = () => ({ hasSubscribers: false, publish() {} })

/** Where there is no process, variables are handed over. */
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

module.exports = {
  channel, environment, idle, inspect, joined,
  fetch: (input, init) => globalThis.fetch(input, init),
  /** A request that ends takes along what it has sent, so no other may wait for that. */
  isShared: false,
  /** The module of WebAssembly comes with this package. It may be loaded after what is beside it. */
  isOnePackage: true,
}
