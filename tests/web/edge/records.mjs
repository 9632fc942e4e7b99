// A store of Durable Objects, one for each record.
import { DurableObject, env } from 'cloudflare:workers'

const MONTH = 30 * 86_400_000

export class StoredRecord extends DurableObject {
  async load() {
    return this.ctx.storage.get('entry')
  }

  async save(record, version, until) {
    const current = await this.load()
    if ((current?.version ?? 0) !== version) return undefined
    // Never reused, even if the record was removed in between.
    const next = Math.max(version + 1, Date.now() * 1000)
    await this.ctx.storage.put('entry', { version: next, record })
    if (until) await this.ctx.storage.setAlarm(until)
    else await this.ctx.storage.deleteAlarm()
    return next
  }

  async lease(holder, ms) {
    const now = Date.now()
    const lease = await this.ctx.storage.get('lease')
    if (lease !== undefined && lease.holder !== holder && lease.until > now) return ms > 0 ? lease.until - now : 0
    await this.ctx.storage.put('lease', { holder, until: now + ms })
    return undefined
  }

  async remove() {
    const { version, record } = (await this.load()) ?? {}
    if (!record) return false
    // An empty record marks it as removed for other workers.
    await this.save('', version, Date.now() + MONTH)
    await this.ctx.storage.delete('lease')
    return true
  }

  // The record has expired.
  async alarm() {
    await this.ctx.storage.deleteAll()
  }
}

const record = (key) => env.RECORDS.getByName(key)

export const store = {
  load: (key) => record(key).load(),
  save: (key, text, version, due, until) => record(key).save(text, version, until),
  lease: (key, holder, ms) => record(key).lease(holder, ms),
  remove: (key) => record(key).remove(),
}
