// Where grants are stored, for everyone who shares them.
import type { MaybePromise } from './index.cjs'

/**
 * Where the record of a grant lives, for every promise, worker thread, process and machine that
 * shares it. Each method must be atomic with respect to other workers; if a method throws, it is
 * unknown whether it took effect. What is stored is secret.
 */
export interface Store {
  /** The record as it was last saved, and its version; nothing if there is none. */
  load(key: string): MaybePromise<StoredRecord | undefined | null>
  /**
   * Saves the record if it is still at `version` (0: there is none) and returns the new version, which is higher than
   * any that this key ever had; otherwise returns nothing. The record must be durable before it returns. `due` is when
   * the grant should be renewed even if it is not used: for a store that can find records by that. `until` is when the
   * record expires: from then on it does not exist, and the store may delete it. A store that never deletes them keeps sessions
   * that were never signed out.
   */
  save(key: string, record: string, version: number, due?: Date, until?: Date): MaybePromise<number | undefined | null>
  /**
   * Takes the lease for `holder` for `ms`, unless another holds it; 0 releases it. Returns for how many
   * milliseconds another still holds it, or nothing. A lease expires after `ms`.
   */
  lease(key: string, holder: string, ms: number): MaybePromise<number | undefined | null | void>
  /**
   * Removes a record and its lease; returns whether there was a record. If a store lacks this method, `SealedStore` saves an
   * empty record.
   */
  remove?(key: string): MaybePromise<boolean>
  /** The keys of some records, and the cursor for the next ones: for `reseal`. */
  scan?(cursor?: string): MaybePromise<{ keys: string[]; next?: string | undefined }>
  /** The keys of up to `limit` records that were due before this time, the longest due first. */
  due?(before: Date, limit: number): MaybePromise<string[]>
}
export interface StoredRecord {
  version: number
  record: string
}
export interface RecordKeyPage {
  keys: string[]
  /** Nothing after the last page. */
  next: string | undefined
}
/**
 * Records in a folder, for the processes of one user on one machine. Each is a file that only its owner may read,
 * replaced as a whole: a process killed anywhere leaves the old record or the new one. A record that is truncated or
 * invalid is `stored.malformed`; a folder that others may write to is `store.setup`. Use a local file system.
 */
export class FileStore implements Store {
  /** The folder is created (0700) if it does not exist. */
  constructor(path: string | URL, options?: FileOptions)
  load(key: string): Promise<StoredRecord | undefined>
  save(key: string, record: string, version: number, due?: Date, until?: Date): Promise<number | undefined>
  lease(key: string, holder: string, ms: number): Promise<number | undefined>
  /** Removes a record and its lease, regardless of what is in them; returns whether there was one. */
  remove(key: string): Promise<boolean>
  /** The keys of all records, sorted; no record is read. */
  keys(): Promise<string[]>
  /** The keys of some records, and the cursor for the next ones; a key may appear twice. */
  scan(cursor?: string): Promise<RecordKeyPage>
  /** The keys of up to `limit` records that were due before this time, the longest due first. */
  due(before: Date, limit: number): Promise<string[]>
  #native
}
export interface FileOptions {
  /**
   * `'group'` shares the folder with its group, whose members may read and remove every record: files
   * are 0660, the folder 2770, as of a volume that containers share with `fsGroup`. A process that is not in the
   * group, and anything that all users may read or write, is `store.setup`. By default `'owner'`.
   */
  access?: 'owner' | 'group' | undefined
}

/**
 * Records in a SQLite database, for the processes of one user on one machine: like `FileStore`, and better for many
 * grants. The file is private (0600); another's file, a folder that others may write to, and a link are `store.setup`.
 * Use a local file system.
 */
export class SqliteStore implements Store {
  /** The file is created if it does not exist, and its folder (0700) too. */
  constructor(path: string | URL, options?: FileOptions)
  load(key: string): Promise<StoredRecord | undefined>
  save(key: string, record: string, version: number, due?: Date, until?: Date): Promise<number | undefined>
  lease(key: string, holder: string, ms: number): Promise<number | undefined>
  /** Removes a record and its lease; returns whether there was a record. */
  remove(key: string): Promise<boolean>
  /** The keys of some records, and the cursor for the next ones; a key may appear twice. */
  scan(cursor?: string): Promise<RecordKeyPage>
  /** The keys of up to `limit` records that were due before this time, the longest due first. */
  due(before: Date, limit: number): Promise<string[]>
  #native
}

/** Records in the memory of this thread's process, as long as the object lives: for tests. */
export class MemoryStore implements Store {
  constructor()
  load(key: string): Promise<StoredRecord | undefined>
  save(key: string, record: string, version: number, due?: Date, until?: Date): Promise<number | undefined>
  lease(key: string, holder: string, ms: number): Promise<number | undefined>
  /** Removes a record and its lease; returns whether there was a record. */
  remove(key: string): Promise<boolean>
  /** The keys of some records, and the cursor for the next ones; a key may appear twice. */
  scan(cursor?: string): Promise<RecordKeyPage>
  /** The keys of up to `limit` records that were due before this time, the longest due first. */
  due(before: Date, limit: number): Promise<string[]>
  #native
}

/**
 * Records in Redis 5 or newer, for machines that share a server. A record is as safe as the server:
 * turn `appendonly` on, and prevent eviction for lack of memory.
 */
export class RedisStore implements Store {
  /**
   * `redis://user:password@host:6379/0`, `redis+sentinel://user:password@host:26379,host/primary/0` or
   * `redis+cluster://user:password@host:6379,host`; `rediss` for TLS. Nothing is connected before it is
   * needed.
   */
  constructor(url: string | URL, options?: RedisOptions)
  load(key: string): Promise<StoredRecord | undefined>
  save(key: string, record: string, version: number, due?: Date, until?: Date): Promise<number | undefined>
  lease(key: string, holder: string, ms: number): Promise<number | undefined>
  /** Removes a record and its lease; returns whether there was either. */
  remove(key: string): Promise<boolean>
  /** The keys of some records, and the cursor for the next ones; a key may appear twice. */
  scan(cursor?: string): Promise<RecordKeyPage>
  /** The keys of up to `limit` records that were due before this time, the longest due first. */
  due(before: Date, limit: number): Promise<string[]>
  #native
}
export interface RedisOptions {
  /** The prefix of every key: `oauth-core:grant:`. */
  prefix?: string | undefined
  /** How long a connection may take, and also an answer: 5000 ms. */
  timeoutMs?: number | undefined
  /** How many replicas must also have a record before it counts as saved: 0. */
  replicas?: number | undefined
}

/**
 * Records in a table of PostgreSQL 9.6 or newer, for machines that share a server. Each method is one
 * statement, so a pooler can be used. A record is as safe as the server.
 */
export class PostgresStore implements Store {
  /** The SQL that `migrate` runs, for a migration tool of your own. */
  static readonly SCHEMA: string
  /**
   * `postgres://user:password@host/database`; with `sslmode=require` nothing is sent without TLS, which is
   * otherwise used if the server offers it. Nothing is connected before it is needed.
   */
  constructor(url: string | URL, options?: PostgresOptions)
  /** Creates the table of the records, unless it exists. */
  migrate(): Promise<void>
  load(key: string): Promise<StoredRecord | undefined>
  save(key: string, record: string, version: number, due?: Date, until?: Date): Promise<number | undefined>
  lease(key: string, holder: string, ms: number): Promise<number | undefined>
  /** Removes a record and its lease; returns whether there was a record. */
  remove(key: string): Promise<boolean>
  /** The keys of some records, and the cursor for the next ones; a key may appear twice. */
  scan(cursor?: string): Promise<RecordKeyPage>
  /** The keys of up to `limit` records that were due before this time, the longest due first. */
  due(before: Date, limit: number): Promise<string[]>
  #native
}
export interface PostgresOptions {
  /** How long a connection may take, and also an answer: 5000 ms. */
  timeoutMs?: number | undefined
}

/** A store of this package: it does its work outside JavaScript. */
export type NativeStore = FileStore | MemoryStore | PostgresStore | RedisStore | SealedStore | SqliteStore

/** A key to seal with. It shows only its id. */
export class SealingKey {
  /** 32 random bytes, or their text in base64url without padding, of 43 characters. */
  constructor(key: Uint8Array | string)
  /**
   * The key that the operating system's keyring has for this service (`'oauth-core'`) under this name (`'seal'`),
   * created on first use. `folder` is for locks between concurrent processes, and contains no secret: it is created
   * (0700) if it does not exist, and all must name the same. `store.setup` if no keyring can be reached; one that is
   * locked may prompt the user, and is waited for.
   */
  static fromKeyring(
    folder: string | URL,
    options?: { service?: string | undefined; name?: string | undefined },
  ): Promise<SealingKey>
  /** Its name, which reveals nothing about it. */
  readonly id: string
  #native
}

/**
 * The holder of the keys that `SealedStore` seals with, such as a key management service. The id of a key is stored in every
 * record that is sealed with it, so it can be the data key itself as wrapped by the service: then nothing need be kept
 * anywhere else. Answers are kept in memory: an id is asked for once, the key to seal with once a day, with one call
 * for all that wait; an id that is unknown is not asked for again for a minute. A thrown error, or no answer within 30
 * seconds, is `lost.unsent`: then nothing was written, and the record is unchanged. `misuse.not_supported` in Workers and
 * edge runtimes, where one request cannot wait for the answer to another.
 */
export interface KeySource {
  /** The key to seal with from now on. */
  dataKey(): MaybePromise<DataKey>
  /**
   * The key of this id, which comes from the store, where others may have written it; nothing if it does not
   * exist, or is permanently refused.
   */
  unwrapKey(id: string): MaybePromise<Uint8Array | string | undefined | null>
}
export interface DataKey {
  /** 1 to 2048 visible characters of ASCII. */
  id: string
  key: Uint8Array | string
}

/**
 * A store whose records only the holder of a key can read, or change unnoticed. Versions, leases and due times are not
 * hidden, and names only with `names`. Anyone who can write to the store can restore an older record. A record that
 * cannot be opened is `stored.sealed`: its key was not given, it was changed or moved, or it was never sealed; a new
 * login replaces it.
 */
export class SealedStore implements Store {
  /**
   * Seals any store with `key`: a `SealingKey`, 32 random bytes, their text in base64url without padding, of 43
   * characters (`randomBytes(32).toString('base64url')`), or a `KeySource` that is asked for keys.
   */
  constructor(store: Store, key: Uint8Array | string | SealingKey | KeySource, options?: SealOptions)
  load(key: string): Promise<StoredRecord | undefined>
  save(key: string, record: string, version: number, due?: Date, until?: Date): Promise<number | undefined>
  lease(key: string, holder: string, ms: number): Promise<number | undefined>
  /**
   * Reseals every record that is not sealed with the current key, while workers continue. When nothing
   * is `unopened`, the old keys can be removed.
   */
  reseal(): Promise<ResealReport>
  /** Like `remove` of the store that is sealed. It needs no key, except for names. */
  remove(key: string): Promise<boolean>
  /** The keys of some records, and the cursor for the next ones; a key may appear twice. */
  scan(cursor?: string): Promise<RecordKeyPage>
  /** The keys of up to `limit` records that were due before this time, the longest due first. */
  due(before: Date, limit: number): Promise<string[]>
  #native
}
export interface SealOptions {
  /**
   * Keys that can still open records. A record opened with one of them is sealed again with `key` when it is next
   * saved.
   */
  old?: readonly (Uint8Array | string | SealingKey | KeySource)[] | undefined
  /** A key that hides names, in a store that has no records yet. It cannot be changed later. */
  names?: Uint8Array | string | SealingKey | undefined
  /** Whether records that were never sealed are read; `reseal` seals them. By default `'refuse'`. */
  plain?: 'refuse' | 'accept' | undefined
}
export interface ResealReport {
  count: number
  /** The names in the store of the records that no key opens. */
  unopened: string[]
}
