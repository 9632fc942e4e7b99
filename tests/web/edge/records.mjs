// A store of Durable Objects, one for each record.
import { DurableObject, env } from 'cloudflare:workers'

export class StoredRecord extends DurableObject {
  async load() {
    return this.ctx.storage.get('entry')
  }

  async save(record, version) {
    const known = await this.ctx.storage.get('entry')
    if ((known?.version ?? 0) !== version) return undefined
    // Never the same twice, though the record was removed in between.
    const next = Math.max(version + 1, Date.now() * 1000)
    await this.ctx.storage.put('entry', { version: next, record })
    return next
  }

  async lease(holder, ms) {
    const now = Date.now()
    const lease = await this.ctx.storage.get('lease')
    if (lease !== undefined && lease.holder !== holder && lease.until > now) return lease.until - now
    await this.ctx.storage.put('lease', { holder, until: now + ms })
    return undefined
  }

  async remove() {
    const known = await this.ctx.storage.get('entry')
    await this.ctx.storage.deleteAll()
    return known !== undefined
  }
}

const record = (key) => env.RECORDS.getByName(key)

export const store = {
  load: (key) => record(key).load(),
  save: (key, text, version) => record(key).save(text, version),
  lease: (key, holder, ms) => record(key).lease(holder, ms),
  remove: (key) => record(key).remove(),
}
