// The application as a Worker.
import { env } from 'cloudflare:workers'
import { SealedStore } from 'oauth-core'
import { handler } from './app.mjs'
import { store as d1 } from './d1.mjs'
import { store as kv } from './kv.mjs'
import { store as objects } from './records.mjs'

export { StoredRecord } from './records.mjs'

const { stored, ...settings } = env.SETTINGS
const sealed = () => new SealedStore(d1, new Uint8Array(32).fill(9))
const stores = { true: () => objects, 'sealed in D1': sealed, KV: () => kv }
export default { fetch: handler(settings, stores[stored]?.()) }
