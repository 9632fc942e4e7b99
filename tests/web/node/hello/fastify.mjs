// Fastify: node fastify.mjs
import Fastify from 'fastify'
import { Site } from 'oauth-core/web'

const { OAUTH_ISSUER: issuer, HELLO_RESPONSE_MODE: responseMode } = process.env
// Pages call it with a token that they never see.
const api = { twin: { url: `${issuer}/api`, methods: ['GET', 'POST'] } }
const site = Site.fromEnv({ scope: 'openid read offline_access', apiOrigins: [issuer], api, responseMode })

const app = Fastify()
app.register(site.fastify)
app.get('/', async ({ user }) => `Hello, ${user?.subject ?? 'stranger'}`)
app.get('/me', { preHandler: site.required }, async ({ user }) => user.subject)
app.get('/pay', { preHandler: site.required({ acr: ['mfa'] }) }, async ({ user }) => `paid by ${user.acr}`)
app.get('/fetch', { preHandler: site.required }, async ({ user }) => String((await user.fetch(process.env.HELLO_API)).status))
await app.listen({ port: process.env.PORT, host: '127.0.0.1' })
