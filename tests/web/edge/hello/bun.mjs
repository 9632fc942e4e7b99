// Bun: bun run bun.mjs
import { Site } from 'oauth-core/web'
import { handler, settings } from './pages.mjs'

const env = process.env
const site = Site.fromEnv(settings(env))

Bun.serve({ port: env.PORT, hostname: '127.0.0.1', fetch: handler(site, env.HELLO_API) })
