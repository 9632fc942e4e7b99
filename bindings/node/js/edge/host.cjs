'use strict'

// What the package needs from its host, for Workers and edge runtimes; `../host.cjs` is the counterpart for Node.js.

/** `console.log` does not use `inspect.custom` there; a direct call shows the members as JSON. */
function inspect(value) {
  return JSON.stringify(value)
}
inspect.custom = Symbol.for('nodejs.util.inspect.custom')

/** A channel without subscribers. */
const channel = () => ({ hasSubscribers: false, publish() {} })

/** The context of a call; without `AsyncLocalStorage`, it is lost at the first `await`. */
function asyncContext() {
  const builtIn = globalThis.process?.getBuiltinModule?.('node:async_hooks')
  const Storage = globalThis.AsyncLocalStorage ?? builtIn?.AsyncLocalStorage
  if (Storage !== undefined) return new Storage()
  let current
  return {
    getStore: () => current,
    run(value, call) {
      const outer = current
      current = value
      try {
        return call()
      } finally {
        current = outer
      }
    },
  }
}

/** The environment variables; empty without a process, where they are passed in. */
const environment = () => globalThis.process?.env ?? {}

const idle = () => {}

/** Concatenates chunks of bytes. */
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
  asyncContext, channel, environment, idle, inspect, joined, userAgent,
  fetch: (input, init) => globalThis.fetch(input, init),
  /** Workers cancel a request's fetches when it ends, so no other request may wait for them. */
  isShared: false,
  /** The WebAssembly module is part of this package. It may be loaded after the other modules. */
  isOnePackage: true,
}
