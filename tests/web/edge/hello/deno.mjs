// Deno: deno run --allow-net --allow-env --allow-read --allow-write --allow-ffi --allow-sys deno.mjs
import { Site } from 'oauth-core/web'
import { handler } from './pages.mjs'

const { HELLO_API, OAUTH_ISSUER, PORT } = Deno.env.toObject()
const site = Site.fromEnv({ scope: 'openid read offline_access', apiOrigins: [OAUTH_ISSUER] })

Deno.serve({ port: Number(PORT), hostname: '127.0.0.1' }, handler(site, HELLO_API))
