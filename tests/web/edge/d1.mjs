// A store in D1, the database of Workers: each change is one statement.
import { env } from 'cloudflare:workers'

const one = (sql, ...values) => env.DB.prepare(sql).bind(...values).first()
const all = async (sql, ...values) => (await env.DB.prepare(sql).bind(...values).all()).results.map(({ key }) => key)
const ms = (date) => date?.getTime() ?? null
const MONTH = 30 * 86_400_000

const save = async (key, record, version, due, until) => {
  const now = Date.now()
  const saved = await one(
    `INSERT INTO records (key, version, record, due, until) SELECT ?1, max(?2 + 1, ?3 * 1000), ?4, ?5, ?6
       WHERE ?2 = 0 OR EXISTS (SELECT 1 FROM records WHERE key = ?1)
     ON CONFLICT (key) DO UPDATE SET version = max(version + 1, excluded.version), record = excluded.record,
       due = excluded.due, until = excluded.until WHERE iif(until <= ?3, 0, version) = ?2
     RETURNING version`,
    key, version, now, record, ms(due), ms(until),
  )
  return saved?.version
}

export const store = {
  load: (key) => one('SELECT version, record FROM records WHERE key = ? AND version > 0 AND ifnull(until > ?, 1)', key, Date.now()),
  save,
  async lease(key, holder, ttl) {
    const now = Date.now()
    const won = await one(
      `INSERT INTO records (key, version, holder, held) VALUES (?1, 0, ?2, ?3)
       ON CONFLICT (key) DO UPDATE SET holder = ?2, held = ?3 WHERE holder IS NULL OR holder = ?2 OR held <= ?4 RETURNING key`,
      key, holder, now + ttl, now,
    )
    if (won || ttl === 0) return undefined
    const { held } = (await one('SELECT held FROM records WHERE key = ?', key)) ?? { held: now }
    return Math.max(1, held - now)
  },
  async remove(key) {
    for (;;) {
      const { version, record } = (await store.load(key)) ?? {}
      if (!record) return false
      // An empty record marks it as removed for other workers.
      if (await save(key, '', version, undefined, new Date(Date.now() + MONTH))) break
    }
    await one('UPDATE records SET holder = NULL WHERE key = ?', key)
    return true
  },
  async scan(cursor = '') {
    const keys = await all(`SELECT key FROM records WHERE key > ? AND record <> '' AND ifnull(until > ?, 1) ORDER BY key LIMIT 100`, cursor, Date.now())
    return { keys, next: keys.length === 100 ? keys.at(-1) : undefined }
  },
  due: (before, limit) => all('SELECT key FROM records WHERE due < ? ORDER BY due LIMIT ?', before.getTime(), limit),
}
