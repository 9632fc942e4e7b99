// A page for signed-in users in Express: the cost of a request with a session cookie, compared with an open page.
// All keep the session in a sealed or signed cookie, and pass the user's subject to the page.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { createServer, get } from 'node:http'
import { createRequire } from 'node:module'
import { encode } from '@auth/core/jwt'
import { ExpressAuth, getSession } from '@auth/express'
import express from 'express'
import oidc from 'express-openid-connect'
import { SignJWT, exportJWK, generateKeyPair } from 'jose'
import { OURS, requireSameResults, measureCpu, printFigure, inTurns } from '../node/harness.mjs'

const require = createRequire(process.env.OAUTH_PACKAGE)
const { Client, Server } = require('oauth-core')
const { Site } = require('oauth-core/web')

const BASE = 'http://localhost:3000'
const SECRET = 'k'.repeat(43)
const CALLS = 500
const ROUNDS = 31
/** WEBLOGIN.md section 10, 8. */
const BUDGET = 15

const fields = (cookie) => ({ host: 'localhost:3000', accept: 'text/html', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document', ...(cookie && { cookie }) })

/** Serves this application, and returns the port. */
async function serve(app) {
  const server = createServer(app).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return server.address().port
}

/** The response to one request. */
async function visit(port, path, cookie) {
  const [response] = await once(get({ port, path, headers: fields(cookie), agent: false }), 'response')
  let payload = ''
  for await (const chunk of response) payload += chunk
  return { statusCode: response.statusCode, headers: response.headers, payload }
}

function withoutLibrary() {
  const app = express()
  app.get('/me', (_, response) => response.send('ann'))
  return { app }
}

async function ours() {
  const endpoints = { authorization_endpoint: `${BASE}/authorize`, token_endpoint: `${BASE}/token`, jwks_uri: `${BASE}/jwks` }
  const server = Server.fromMetadata(BASE, { issuer: BASE, response_types_supported: ['code'], ...endpoints }, { transport: 'loopback_http' })
  const client = new Client(server, { clientId: 'web', clientSecret: 's'.repeat(32) })
  const site = new Site({ baseUrl: BASE, key: 'testing', client, transport: 'loopback_http' })
  const app = express()
  app.use(site.express())
  app.get('/me', site.required, (request, response) => response.send(request.user.subject))
  return { app, cookie: await site.testing({ subject: 'ann', claims: { name: 'Ann' } }) }
}

async function authJs() {
  const provider = { id: 'p', name: 'P', type: 'oidc', issuer: BASE, clientId: 'web', clientSecret: 's'.repeat(32) }
  // The callback of its documentation that adds the subject to the session.
  const callbacks = { session: ({ session, token }) => ({ ...session, user: { ...session.user, id: token.sub } }) }
  const config = { providers: [provider], secret: SECRET, trustHost: true, callbacks }
  const app = express()
  app.use('/auth/*splat', ExpressAuth(config))
  app.get('/me', async (request, response) => {
    const session = await getSession(request, config)
    if (!session) return response.redirect('/auth/signin')
    response.send(session.user.id)
  })
  const salt = 'authjs.session-token'
  return { app, cookie: `${salt}=${await encode({ token: { sub: 'ann', name: 'Ann' }, secret: SECRET, salt })}` }
}

/** The cookie of express-openid-connect requires a sign-in, which requires a provider. */
async function expressOpenid() {
  const { publicKey, privateKey } = await generateKeyPair('RS256')
  let nonce
  const provider = createServer(async (request, response) => {
    const send = (value) => response.setHeader('content-type', 'application/json').end(JSON.stringify(value))
    const iss = `http://localhost:${provider.address().port}`
    if (request.url === '/.well-known/openid-configuration') {
      return send({
        issuer: iss, authorization_endpoint: `${iss}/authorize`, token_endpoint: `${iss}/token`, jwks_uri: `${iss}/jwks`,
        response_types_supported: ['code'], response_modes_supported: ['query', 'form_post'], subject_types_supported: ['public'],
        id_token_signing_alg_values_supported: ['RS256'], code_challenge_methods_supported: ['S256'],
      })
    }
    if (request.url === '/jwks') return send({ keys: [{ ...(await exportJWK(publicKey)), kid: 'k', alg: 'RS256', use: 'sig' }] })
    const claims = new SignJWT({ nonce, name: 'Ann' }).setProtectedHeader({ alg: 'RS256', kid: 'k' })
    const token = await claims.setSubject('ann').setIssuer(iss).setAudience('web').setIssuedAt().setExpirationTime('8h').sign(privateKey)
    send({ access_token: 'a', token_type: 'Bearer', expires_in: 28800, id_token: token })
  })
  await new Promise((done) => provider.listen(0, 'localhost', done))
  const app = express()
  app.use(oidc.auth({
    issuerBaseURL: `http://localhost:${provider.address().port}`, baseURL: BASE, clientID: 'web', clientSecret: 's'.repeat(32), secret: SECRET,
    authRequired: false, authorizationParams: { response_type: 'code', response_mode: 'query' },
  }))
  app.get('/me', oidc.requiresAuth(), (request, response) => response.send(request.oidc.user.sub))
  const port = await serve(app)
  const pairs = (response) => [response.headers['set-cookie'] ?? []].flat().map((field) => field.split(';', 1)[0])
  const begun = await visit(port, '/login')
  const sent = new URL(begun.headers.location).searchParams
  nonce = sent.get('nonce')
  const url = `/callback?${new URLSearchParams({ code: 'c', state: sent.get('state') })}`
  const back = await visit(port, url, pairs(begun).join('; '))
  provider.close()
  provider.closeAllConnections()
  return { app, cookie: pairs(back).filter((pair) => pair.startsWith('appSession')).join('; ') }
}

const sides = { 'nobody is asked': withoutLibrary(), [OURS]: await ours(), 'Auth.js': await authJs(), 'express-openid-connect': await expressOpenid() }
const results = {}
for (const [name, side] of Object.entries(sides)) {
  side.port = await serve(side.app)
  const { statusCode, payload } = await visit(side.port, '/me', side.cookie)
  results[name] = [statusCode, payload]
  const without = await visit(side.port, '/me')
  if (name !== 'nobody is asked' && without.payload === 'ann') throw new Error(`${name}: everybody is let in`)
}
requireSameResults('a page for ann', results)

const requests = fork(new URL('requests.mjs', import.meta.url))
const run = ({ port, cookie }) => {
  const lines = Object.entries(fields(cookie)).map(([name, value]) => `${name}: ${value}\r\n`)
  const text = `GET /me HTTP/1.1\r\n${lines.join('')}\r\n`
  return () => measureCpu(async () => {
    requests.send({ port, text, end: '\r\n\r\nann', count: CALLS })
    await once(requests, 'message')
  })
}
const taken = await inTurns(Object.fromEntries(Object.entries(sides).map(([name, side]) => [name, run(side)])), ROUNDS)
const median = (list) => list.toSorted((a, b) => a - b)[list.length >> 1]
const floor = taken['nobody is asked']
const over = Object.entries(taken).slice(1).map(([name, runs]) => [name, median(runs.map((us, round) => (us - floor[round]) / CALLS))])
printFigure('Node.js: a page for who is signed in, Express, sealed cookie, over a page for everybody', 'us CPU', Object.fromEntries(over), { budget: BUDGET })
process.exit()
