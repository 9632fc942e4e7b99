// Describes to a worker where the records of a store are.
import { FileStore, PostgresStore, RedisStore, SealedStore, SqliteStore } from 'oauth-core'

const kinds = { 'redis:': RedisStore, 'postgres:': PostgresStore }
const local = (path) => (path.endsWith('.db') ? new SqliteStore(path) : new FileStore(path))

export function storeAt({ url, path, key }) {
  const store = url === undefined ? local(path) : new kinds[new URL(url).protocol](url)
  return key === undefined ? store : new SealedStore(store, key)
}
