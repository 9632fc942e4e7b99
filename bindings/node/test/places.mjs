// A store, by where its records are, as a worker is told.
import { FileStore, PostgresStore, RedisStore, Sealed } from 'oauth-core'

const kinds = { 'redis:': RedisStore, 'postgres:': PostgresStore }

export function storeAt({ url, path, key }) {
  const store = url === undefined ? new FileStore(path) : new kinds[new URL(url).protocol](url)
  return key === undefined ? store : new Sealed(store, key)
}
