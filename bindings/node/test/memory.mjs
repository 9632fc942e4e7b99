// A custom store, and simulated time for its records.
import assert from 'node:assert/strict'
import { setTimeout as pause } from 'node:timers/promises'

/** Only the three required methods, and its own clock for leases. */
export class MemoryStore {
  records = new Map()
  leases = new Map()
  calls = []

  async load(key) {
    this.calls.push('load')
    await pause(1)
    return this.records.get(key)
  }

  async save(key, record, version) {
    this.calls.push('save')
    await pause(1)
    if ((this.records.get(key)?.version ?? 0) !== version) return undefined
    this.records.set(key, { version: version + 1, record })
    return version + 1
  }

  lease(key, holder, ms) {
    this.calls.push('lease')
    const held = this.leases.get(key)
    const remaining = held ? held.until - performance.now() : 0
    if (remaining > 0 && held.holder !== holder) return ms > 0 ? remaining : 0
    this.leases.set(key, { holder, until: performance.now() + ms })
    return 0
  }
}

/** Makes the stored tokens expire. */
export async function expireStoredTokens(store, key) {
  const { version, record } = await store.load(key)
  const aged = JSON.parse(record)
  aged.tokens.received_at -= 100_000
  assert.ok(await store.save(key, JSON.stringify(aged), version) > version)
}
