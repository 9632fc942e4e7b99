// A naive store in Workers KV, which has no compare-and-swap.
import { env } from 'cloudflare:workers'

const now = () => Date.now()
/** The latency of a remote read; in this process KV would answer at once. */
const FAR_MS = 30
const read = async (key) => {
  const value = await env.KV.get(key, 'json')
  await new Promise((wake) => setTimeout(wake, FAR_MS))
  return value
}
const write = (key, value) => env.KV.put(key, JSON.stringify(value))

export const store = {
  async load(key) {
    return (await read(`record:${key}`)) ?? undefined
  },
  async save(key, record, version) {
    const current = await read(`record:${key}`)
    if ((current?.version ?? 0) !== version) return undefined
    const next = Math.max(version + 1, now() * 1000)
    await write(`record:${key}`, { version: next, record })
    return next
  },
  async lease(key, holder, ms) {
    const lease = await read(`lease:${key}`)
    if (lease && lease.holder !== holder && lease.until > now()) return lease.until - now()
    await write(`lease:${key}`, { holder, until: now() + ms })
    return undefined
  },
  async remove(key) {
    const current = await read(`record:${key}`)
    await env.KV.delete(`record:${key}`)
    return current !== null
  },
}
