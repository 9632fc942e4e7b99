// Bun: bun run bun.mjs
import { Site } from 'oauth-core/web'
import { handler } from './pages.mjs'

const { HELLO_API, OAUTH_ISSUER, PORT } = process.env
const site = Site.fromEnv({ scope: 'openid read offline_access', apiOrigins: [OAUTH_ISSUER] })

Bun.serve({ port: PORT, hostname: '127.0.0.1', fetch: handler(site, HELLO_API) })
