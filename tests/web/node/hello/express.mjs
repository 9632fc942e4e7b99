// Express: node express.mjs
import express from 'express'
import { Site } from 'oauth-core/web'

const { HELLO_SCOPE: scope = 'openid read offline_access', HELLO_RESPONSE_MODE: responseMode, OAUTH_ISSUER: issuer } = process.env
// Pages call it with a token that they never see, where there are tokens.
const api = process.env.OAUTH_STORE && { twin: { url: `${issuer}/api`, methods: ['GET', 'POST'] } }
const site = Site.fromEnv({ scope, apiOrigins: [issuer], rootPath: process.env.HELLO_ROOT, api, responseMode })

const app = express()
app.use(site.express())
app.get('/', (req, res) => res.send(`Hello, ${req.user?.subject ?? 'stranger'}`))
app.get('/me', site.required, (req, res) => res.send(req.user.subject))
app.get('/pay', site.required({ acr: ['mfa'] }), (req, res) => res.send(`paid by ${req.user.acr}`))
app.get('/fetch', site.required, async (req, res) => res.send(String((await req.user.fetch(process.env.HELLO_API)).status)))
app.use(site.expressErrors())
app.listen(process.env.PORT, '127.0.0.1')
