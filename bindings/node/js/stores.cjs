'use strict'

// The built-in stores. Stores written in JavaScript are called in callbacks.cjs and renewal.cjs.

const { inspect } = require('#host')
const native = require('#native')
const { storeError, errorFromNative, callNative } = require('./errors.cjs')
const { checkLimit } = require('./exchange.cjs')
const { storeCallbacks } = require('./callbacks.cjs')
const { checkStore } = require('./renewal.cjs')
const { nativeKey, nativeKeys } = require('./keys.cjs')
const { checkOptions } = require('./options.cjs')
const { toPath, textOrUrl } = require('./paths.cjs')

const natives = new WeakMap()

/** Calls the native half of a built-in store, and throws its errors as their classes. */
const callNativeStore = (store, call) => callStore(() => call(natives.get(store)))

async function callStore(call) {
  let result
  try {
    result = await call()
  } catch (error) {
    throw errorFromNative(error)
  }
  if (result.failure) throw storeError(result.failure)
  return result
}

function unixMillis(date) {
  const ms = date instanceof Date ? date.getTime() : NaN
  if (!(ms >= 0)) throw new TypeError('a time must be a Date after 1969')
  return ms
}

/** The base class of built-in stores: the three required methods, and the optional ones for many grants. */
class NativeStore {
  constructor(open) {
    natives.set(this, callNative(open))
  }

  async load(key) {
    const { version, record } = await callNativeStore(this, (store) => store.load(key))
    return record === undefined || record === null ? undefined : { version, record }
  }

  async save(key, record, version, due, until) {
    const times = [due, until].map((date) => (date === undefined || date === null ? undefined : unixMillis(date)))
    return (await callNativeStore(this, (store) => store.save(key, record, version, ...times))).version ?? undefined
  }

  async lease(key, holder, ms) {
    return (await callNativeStore(this, (store) => store.lease(key, holder, ms))).ms ?? undefined
  }

  /** Removes a record and its lease, and returns whether there was a record. */
  async remove(key) {
    return (await callNativeStore(this, (store) => store.remove(key))).removed
  }

  /** The keys of some records, and the cursor of the next ones; a key may be listed twice. */
  async scan(cursor) {
    const { keys, next } = await callNativeStore(this, (store) => store.scan(cursor ?? undefined))
    return { keys, next: next ?? undefined }
  }

  /** The keys of at most `limit` records that were due before this time, longest due first. */
  async due(before, limit) {
    if (!Number.isSafeInteger(limit) || limit < 0) throw new TypeError('limit must be an integer of 0 or more')
    const ms = unixMillis(before)
    return (await callNativeStore(this, (store) => store.due(ms, Math.min(limit, 2 ** 32 - 1)))).keys
  }
}

/** The private DPoP key with this name in any store, in PEM; created on first use. */
async function loadDpopKey(store, name, alg) {
  return (await callStore(() => nativeStore(store).dpopKey(name, alg))).record
}

/** The native half of a store: that of a built-in one, or callbacks to one written in JavaScript. */
function nativeStore(store) {
  if (store === undefined) throw new TypeError('store must be given')
  return natives.get(store) ?? native.NativeStore.foreign(storeCallbacks(checkStore(store)))
}

function isGroupAccess(access = 'owner') {
  if (access !== 'owner' && access !== 'group') throw new TypeError("access must be 'owner' or 'group'")
  return access === 'group'
}

/** Stores records in a folder, for the processes of one user on one machine. */
class FileStore extends NativeStore {
  #path

  constructor(path, options) {
    const { access } = checkOptions('FileStore', options)
    const text = toPath(path)
    const isForGroup = isGroupAccess(access)
    super(() => native.NativeStore.file(text, isForGroup))
    this.#path = text
  }

  /** The keys of all records, sorted; no record is read. */
  async keys() {
    return (await callNativeStore(this, (store) => store.keys())).keys
  }

  [inspect.custom](depth, options) {
    return `FileStore ${inspect({ path: this.#path }, options)}`
  }
}

/** Stores records in a SQLite database, for the processes of one user on one machine. */
class SqliteStore extends NativeStore {
  #path

  constructor(path, options) {
    const { access } = checkOptions('SqliteStore', options)
    const text = toPath(path)
    const isForGroup = isGroupAccess(access)
    super(() => native.NativeStore.sqlite(text, isForGroup))
    this.#path = text
  }

  [inspect.custom](depth, options) {
    return `SqliteStore ${inspect({ path: this.#path }, options)}`
  }
}

/** Stores records in the memory of this process. */
class MemoryStore extends NativeStore {
  constructor() {
    super(() => native.NativeStore.memory())
  }

  [inspect.custom]() {
    return 'MemoryStore {}'
  }
}

/** Stores records in Redis, for processes on several machines. */
class RedisStore extends NativeStore {
  constructor(url, options) {
    const { prefix, timeoutMs, replicas } = checkOptions('RedisStore', options)
    const text = textOrUrl(url, 'url')
    checkLimit(timeoutMs)
    if (replicas !== undefined && !(Number.isSafeInteger(replicas) && replicas >= 0)) {
      throw new TypeError('replicas must be an integer of 0 or more')
    }
    super(() => native.NativeStore.redis(text, prefix, timeoutMs, replicas))
  }

  // The URL contains a password.
  [inspect.custom]() {
    return 'RedisStore {}'
  }
}

/** Stores records in a PostgreSQL table, for processes on several machines. */
class PostgresStore extends NativeStore {
  /** The SQL that `migrate` executes, for applications with their own migrations. */
  static get SCHEMA() {
    return native.postgresSchema()
  }

  constructor(url, options) {
    const { timeoutMs } = checkOptions('PostgresStore', options)
    const text = textOrUrl(url, 'url')
    checkLimit(timeoutMs)
    super(() => native.NativeStore.postgres(text, timeoutMs))
  }

  /** Creates the table of the records, if it does not exist. */
  async migrate() {
    await callNativeStore(this, (store) => store.migrate())
  }

  // The URL contains a password.
  [inspect.custom]() {
    return 'PostgresStore {}'
  }
}

/** A store with encrypted, authenticated records: only a key's holder can read them, or change them undetected. */
class SealedStore extends NativeStore {
  constructor(store, key, options) {
    const { old = [], names, plain = 'refuse' } = checkOptions('SealedStore', options)
    if (plain !== 'refuse' && plain !== 'accept') throw new TypeError("plain must be 'refuse' or 'accept'")
    const keys = nativeKeys(key, old)
    const namesKey = names === undefined ? undefined : nativeKey(names)
    super(() => nativeStore(store).sealed(keys, namesKey, plain === 'accept'))
  }

  /** Reseals records that are not sealed with the current key. Returns their number, and the records that no key opens. */
  async reseal() {
    const { count, keys } = await callNativeStore(this, (store) => store.reseal())
    return { count, unopened: keys }
  }

  [inspect.custom]() {
    return 'SealedStore {}'
  }
}

/** The store that a site's `OAUTH_STORE` URL names. */
class StoreAt extends NativeStore {
  constructor(url) {
    super(() => native.NativeStore.at(url))
  }

  // The URL may hold a password.
  [inspect.custom]() {
    return 'Store {}'
  }
}

module.exports = { FileStore, MemoryStore, PostgresStore, RedisStore, SealedStore, SqliteStore, StoreAt, loadDpopKey, nativeStore }
