// Deno: deno run --allow-net --allow-env --allow-read --allow-write --allow-ffi --allow-sys deno.mjs
import { Site } from 'oauth-core/web'
import { handler, settings } from './pages.mjs'

const env = Deno.env.toObject()
const site = Site.fromEnv(settings(env))

Deno.serve({ port: Number(env.PORT), hostname: '127.0.0.1' }, handler(site, env.HELLO_API))
