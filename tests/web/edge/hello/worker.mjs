// A Worker, whose sessions are Durable Objects.
import { env } from 'cloudflare:workers'
import { Site } from 'oauth-core/web'
import { store } from '../records.mjs'
import { handler, settings } from './pages.mjs'

export { StoredRecord } from '../records.mjs'

const site = Site.fromEnv({ env, store, ...settings(env) })

export default { fetch: handler(site, env.HELLO_API) }
