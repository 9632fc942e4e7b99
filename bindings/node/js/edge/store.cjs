'use strict'

// Stores that are written in JavaScript, and the sealing of their records.

/** How long a store, or the application, may take to answer, in milliseconds. */
const PATIENCE = 30_000

/** How often an empty record is tried to be saved, where others save too. */
const REMOVALS = 16

/** The result of a method call: its value, `{ failure }` of a built-in object, or `{ why }` with another reason. */
async function asked(who, handler, ask) {
  let timer
  const late = new Promise((done) => {
    timer = setTimeout(done, PATIENCE, { why: `the ${who} did not answer in time` })
  })
  const said = new Promise((done) => {
    handler({ ask, answer: done, answerProvider: (setup) => done({ setup }), failedAs: (code, why, retryAfter) => done({ failed: { code, why, retryAfter } }), failedWith: (failure) => done({ failure }), failed: (why) => done({ why }) })
  })
  return Promise.race([said, late]).finally(() => clearTimeout(timer))
}

const isNone = ({ failure, why }) => failure !== undefined || why !== undefined

/** Removes a record with the three methods of every store: by saving an empty one. */
async function removed(store, key) {
  const said = await store.ask({ verb: 'remove', key })
  if (said.absent !== true) return said
  for (let tries = 0; tries < REMOVALS; tries += 1) {
    const known = await store.ask({ verb: 'load', key })
    if (isNone(known)) return known
    const { version = 0, record } = known
    const saved = await store.ask({ verb: 'save', key, record: '', version })
    if (isNone(saved)) return saved
    // The empty record of an earlier removal is none.
    if (saved.version !== undefined) return { removed: Boolean(record) }
  }
  return { why: 'others keep saving the record' }
}

/** The stores, over the native half. */
function storesOver(wasm) {
  const failed = (code, why) => ({ failure: wasm.NativeFailure.of(code, why) })

  /** The same answer, without a reason that is no error yet; `verb` is one that a store may lack. */
  async function told(answer, verb) {
    const said = await answer
    if (said.why !== undefined) return failed('lost', said.why)
    return said.absent === true ? failed('misuse.not_supported', verb) : said
  }

  /** A store that is written in JavaScript. */
  class NativeStore {
    #handler

    constructor(handler) {
      this.#handler = handler
    }

    static foreign(handler) {
      return new NativeStore(handler)
    }

    /** What it answers, or `{ why }` or `{ failure }`. */
    ask(question) {
      return asked('store', this.#handler, question)
    }

    /** This store, its records sealed with the current key, and opened with the old ones too. */
    sealed(keys, names, acceptsPlain) {
      const seal = wasm.NativeSeal.of(keys)
      if (names !== undefined) seal.hideNames(names)
      if (acceptsPlain) seal.acceptPlain()
      return new SealedStore(this, seal)
    }

    load(key) {
      return told(this.ask({ verb: 'load', key }))
    }

    save(key, record, version, due, until) {
      return told(this.ask({ verb: 'save', key, record, version, due, until }))
    }

    async lease(key, holder, ms) {
      const said = await told(this.ask({ verb: 'lease', key, holder, ms }))
      return said.ms > 0 ? said : { failure: said.failure }
    }

    remove(key) {
      return told(removed(this, key))
    }

    scan(cursor) {
      return told(this.ask({ verb: 'scan', cursor }), 'scan')
    }

    due(before, limit) {
      return told(this.ask({ verb: 'due', due: before, limit }), 'due')
    }
  }

  /** A store whose records are sealed: what `SealedStore` of the crate `oauth-session` is elsewhere. */
  class SealedStore extends NativeStore {
    #store
    #seal

    constructor(store, seal) {
      super()
      this.#store = store
      this.#seal = seal
    }

    async ask(question) {
      try {
        return await this.#verbs[question.verb](question)
      } catch (failure) {
        if (failure instanceof wasm.NativeFailure) return { failure }
        throw failure
      }
    }

    #verbs = {
      load: async ({ key }) => {
        const stored = this.#seal.stored(key)
        const said = await this.#store.ask({ verb: 'load', key: stored })
        // An empty record says that it was removed.
        return said.record ? { ...said, record: this.#seal.open(stored, said.record, said.version).record } : said
      },
      save: async ({ key, record, version, ...times }) => {
        const stored = this.#seal.stored(key)
        // A tombstone is not secret, and the store itself has to recognize it.
        const text = record === '' ? record : this.#seal.seal(key, stored, record, version)
        return this.#store.ask({ ...times, key: stored, record: text, version })
      },
      lease: async (question) => this.#store.ask({ ...question, key: this.#seal.stored(question.key) }),
      // It needs no key but that of names.
      remove: async ({ key }) => removed(this.#store, this.#seal.stored(key)),
      scan: async (question) => this.#named(await this.#store.ask(question)),
      due: async (question) => this.#named(await this.#store.ask(question)),
    }

    /** The names of the records that are stored under these keys. */
    async #named(said) {
      if (!this.#seal.hidesNames || said.keys === undefined) return said
      const keys = []
      for (const stored of said.keys) {
        const entry = await this.#store.ask({ verb: 'load', key: stored })
        if (isNone(entry)) return entry
        const { name, failure } = entry.record ? this.#opened(stored, entry) : {}
        // What no key opens has a name that nobody knows.
        if (failure !== undefined && !isUnopened(failure)) return { failure }
        if (name !== undefined) keys.push(name)
      }
      return { ...said, keys }
    }

    #opened(stored, { record, version }) {
      try {
        return this.#seal.open(stored, record, version)
      } catch (failure) {
        if (failure instanceof wasm.NativeFailure) return { failure }
        throw failure
      }
    }

    /** Reseals what is not sealed with the current key: how many, and the keys in the store of what no key opens. */
    async reseal() {
      let count = 0
      const unopened = new Set()
      let next
      do {
        const page = await this.#store.scan(next)
        if (page.failure !== undefined) return page
        for (const stored of page.keys) {
          const { failure, isNew } = await this.#resealed(stored)
          if (failure === undefined) count += isNew ? 1 : 0
          else if (isUnopened(failure)) unopened.add(stored)
          else return { failure }
        }
        next = page.next
      } while (next !== undefined && next !== null)
      return { count, keys: [...unopened].sort() }
    }

    /** Whether there was anything to do. */
    async #resealed(stored) {
      for (;;) {
        const entry = await this.#store.load(stored)
        if (entry.failure !== undefined) return entry
        if (!entry.record) return { isNew: false }
        const opened = this.#opened(stored, entry)
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

module.exports = { asked, removed, storesOver }
