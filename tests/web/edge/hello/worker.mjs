// A Worker, whose sessions are Durable Objects.
import { env } from 'cloudflare:workers'
import { Site } from 'oauth-core/web'
import { store } from '../records.mjs'
import { handler } from './pages.mjs'

export { StoredRecord } from '../records.mjs'

const site = Site.fromEnv({ env, store, scope: 'openid read offline_access', apiOrigins: [env.OAUTH_ISSUER] })

export default { fetch: handler(site, env.HELLO_API) }
