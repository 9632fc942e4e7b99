// Hono: node hono.mjs
import { serve } from '@hono/node-server'
import { Hono } from 'hono'
import { Site } from 'oauth-core/web'

const { OAUTH_ISSUER: issuer, HELLO_RESPONSE_MODE: responseMode } = process.env
// Pages call it with a token that they never see.
const api = { twin: { url: `${issuer}/api`, methods: ['GET', 'POST'] } }
const site = Site.fromEnv({ scope: 'openid read offline_access', apiOrigins: [issuer], api, responseMode })

const app = new Hono()
app.use(site.hono())
app.get('/', (c) => c.text(`Hello, ${c.var.user?.subject ?? 'stranger'}`))
app.get('/me', site.required, (c) => c.text(c.var.user.subject))
app.get('/pay', site.required({ acr: ['mfa'] }), (c) => c.text(`paid by ${c.var.user.acr}`))
app.get('/fetch', site.required, async (c) => c.text(String((await c.var.user.fetch(process.env.HELLO_API)).status)))
serve({ fetch: app.fetch, port: process.env.PORT, hostname: '127.0.0.1' })
