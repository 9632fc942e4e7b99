'use strict'

// Stores written in JavaScript, for edge runtimes, and the sealing of their records.

/** The longest time that a store or a callback of the application may take, in milliseconds. */
const MAX_WAIT_MS = 30_000

/** The most attempts to save a tombstone while other workers keep saving the record. */
const MAX_REMOVAL_ATTEMPTS = 16

/** The result of a method call: its value, `{ failure }` from a built-in object, or `{ why }` with any other reason. */
async function callMethod(name, handler, request) {
  let timer
  const late = new Promise((done) => {
    timer = setTimeout(done, MAX_WAIT_MS, { why: `the ${name} did not answer in time` })
  })
  const called = new Promise((done) => {
    handler({
      ask: request,
      answer: done,
      answerProvider: (setup) => done({ setup }),
      failedAs: (code, reason, retryAfter) => done({ failed: { code, why: reason, retryAfter } }),
      failedWith: (failure) => done({ failure }),
      failed: (why) => done({ why }),
    })
  })
  return Promise.race([called, late]).finally(() => clearTimeout(timer))
}

const isFailure = ({ failure, why: reason }) => failure !== undefined || reason !== undefined

/** Removes a record: with the store's `remove`, or else by saving a tombstone. */
async function saveEmptyRecord(store, key) {
  const result = await store.call({ verb: 'remove', key })
  if (result.absent !== true) return result
  for (let attempts = 0; attempts < MAX_REMOVAL_ATTEMPTS; attempts += 1) {
    const loaded = await store.call({ verb: 'load', key })
    if (isFailure(loaded)) return loaded
    const { version = 0, record } = loaded
    const saved = await store.call({ verb: 'save', key, record: '', version })
    if (isFailure(saved)) return saved
    // The tombstone of an earlier removal does not count as a record.
    if (saved.version !== undefined) return { removed: Boolean(record) }
  }
  return { why: 'other workers keep saving the record' }
}

/** The classes of stores, over the native half. */
function storesOver(wasm) {
  const failed = (code, reason) => ({ failure: wasm.NativeFailure.of(code, reason) })

  /** The result of a call, with its errors as `{ failure }`; `verb` is a method that a store may lack. */
  async function unwrapResult(pending, verb) {
    const result = await pending
    if (result.why !== undefined) return failed('lost', result.why)
    return result.absent === true ? failed('misuse.not_supported', verb) : result
  }

  /** A store written in JavaScript. */
  class NativeStore {
    #handler

    constructor(handler) {
      this.#handler = handler
    }

    static foreign(handler) {
      return new NativeStore(handler)
    }

    /** The result of a method, or `{ why }` or `{ failure }`. */
    call(request) {
      return callMethod('store', this.#handler, request)
    }

    /** This store with sealed records: the current key seals, and all keys open. */
    sealed(keys, names, acceptsPlain) {
      const seal = wasm.NativeSeal.of(keys)
      if (names !== undefined) seal.hideNames(names)
      if (acceptsPlain) seal.acceptPlain()
      return new SealedStore(this, seal)
    }

    load(key) {
      return unwrapResult(this.call({ verb: 'load', key }))
    }

    save(key, record, version, due, until) {
      return unwrapResult(this.call({ verb: 'save', key, record, version, due, until }))
    }

    async lease(key, holder, ms) {
      const result = await unwrapResult(this.call({ verb: 'lease', key, holder, ms }))
      return result.ms > 0 ? result : { failure: result.failure }
    }

    remove(key) {
      return unwrapResult(saveEmptyRecord(this, key))
    }

    scan(cursor) {
      return unwrapResult(this.call({ verb: 'scan', cursor }), 'scan')
    }

    due(before, limit) {
      return unwrapResult(this.call({ verb: 'due', due: before, limit }), 'due')
    }
  }

  /** A store that seals its records, in the format of `SealedStore` of the crate `oauth-session`. */
  class SealedStore extends NativeStore {
    #store
    #seal

    constructor(store, seal) {
      super()
      this.#store = store
      this.#seal = seal
    }

    async call(request) {
      try {
        return await this.#verbs[request.verb](request)
      } catch (failure) {
        if (failure instanceof wasm.NativeFailure) return { failure }
        throw failure
      }
    }

    #verbs = {
      load: async ({ key }) => {
        const stored = this.#seal.stored(key)
        const result = await this.#store.call({ verb: 'load', key: stored })
        // An empty record is a tombstone.
        return result.record ? { ...result, record: this.#seal.open(stored, result.record, result.version).record } : result
      },
      save: async ({ key, record, version, ...times }) => {
        const stored = this.#seal.stored(key)
        // A tombstone is not secret, and the store itself has to recognize it.
        const text = record === '' ? record : this.#seal.seal(key, stored, record, version)
        return this.#store.call({ ...times, key: stored, record: text, version })
      },
      lease: async (request) => this.#store.call({ ...request, key: this.#seal.stored(request.key) }),
      // A tombstone has no content to seal: only its name may be hidden.
      remove: async ({ key }) => saveEmptyRecord(this.#store, this.#seal.stored(key)),
      scan: async (request) => this.#withRecordNames(await this.#store.call(request)),
      due: async (request) => this.#withRecordNames(await this.#store.call(request)),
    }

    /** The same result, with the names of the records in place of the keys under which they are stored. */
    async #withRecordNames(result) {
      if (!this.#seal.hidesNames || result.keys === undefined) return result
      const keys = []
      for (const stored of result.keys) {
        const entry = await this.#store.call({ verb: 'load', key: stored })
        if (isFailure(entry)) return entry
        const { name, failure } = entry.record ? this.#tryOpen(stored, entry) : {}
        // The name of a record that no key opens is unknown.
        if (failure !== undefined && !isUnopened(failure)) return { failure }
        if (name !== undefined) keys.push(name)
      }
      return { ...result, keys }
    }

    /** The opened record, or `{ failure }`. */
    #tryOpen(stored, { record, version }) {
      try {
        return this.#seal.open(stored, record, version)
      } catch (failure) {
        if (failure instanceof wasm.NativeFailure) return { failure }
        throw failure
      }
    }

    /** Reseals records that are not sealed with the current key. Returns their number, and the store keys of records that no key opens. */
    async reseal() {
      let count = 0
      const unopened = new Set()
      let next
      do {
        const page = await this.#store.scan(next)
        if (page.failure !== undefined) return page
        for (const stored of page.keys) {
          const { failure, isNew } = await this.#resealRecord(stored)
          if (failure === undefined) count += isNew ? 1 : 0
          else if (isUnopened(failure)) unopened.add(stored)
          else return { failure }
        }
        next = page.next
      } while (next !== undefined && next !== null)
      return { count, keys: [...unopened].sort() }
    }

    /** Reseals one record, and returns whether that was necessary. */
    async #resealRecord(stored) {
      for (;;) {
        const entry = await this.#store.load(stored)
        if (entry.failure !== undefined) return entry
        if (!entry.record) return { isNew: false }
        const opened = this.#tryOpen(stored, entry)
        if (opened.failure !== undefined) return opened
        if (opened.isCurrent) return { isNew: false }
        // A store that hides names has no records that were sealed without their name.
        const text = this.#seal.seal(opened.name ?? stored, stored, opened.record, entry.version)
        // The store does not return the times with which a record was saved.
        const { due, until } = wasm.recordTimes(opened.record)
        const saved = await this.#store.save(stored, text, entry.version, due, until)
        if (saved.failure !== undefined) return saved
        if (saved.version !== undefined) return { isNew: true }
      }
    }
  }

  return { NativeStore }
}

const isUnopened = ({ code }) => code === 'stored.sealed'

module.exports = { callMethod, saveEmptyRecord, storesOver }
