// An MCP server made with the official TypeScript SDK, on a loopback port, which is its own authorization server.
//
// Prints one line of JSON once it listens: {"url": ..., "control": ...}. Stops when its standard input closes. What
// `control` offers is told in ../README.md.
import { randomUUID } from 'node:crypto'
import { createServer } from 'node:http'
import { requireBearerAuth } from '@modelcontextprotocol/sdk/server/auth/middleware/bearerAuth.js'
import { getOAuthProtectedResourceMetadataUrl, mcpAuthRouter } from '@modelcontextprotocol/sdk/server/auth/router.js'
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js'
import express from 'express'
import * as z from 'zod'
import { Authority, SCOPES, TOOLS } from './authority.mjs'

const server = createServer()
await new Promise((done) => server.listen(0, '127.0.0.1', done))
const origin = `http://127.0.0.1:${server.address().port}`
const issuerUrl = new URL(origin)
const resourceServerUrl = new URL('/mcp', origin)
const metadata = getOAuthProtectedResourceMetadataUrl(resourceServerUrl)
const authority = new Authority(issuerUrl.href)
/** The authority whose tokens the MCP server accepts, and that its metadata names. */
let named = authority

function mcpServer() {
  const mcp = new McpServer({ name: 'oauth-core-test', version: '1.0.0' })
  const textResult = (text) => {
    authority.counts.tool_calls += 1
    return { content: [{ type: 'text', text }] }
  }
  const echo = { description: 'Says what it is told.', inputSchema: { text: z.string() } }
  mcp.registerTool('echo', echo, ({ text }) => textResult(text))
  mcp.registerTool('secret_tool', { description: 'Says a secret to whoever may hear it.' }, () => textResult('a secret'))
  return mcp
}

/**
 * Refuses the secret tool to tokens without its scope. The SDK asks for the same scopes regardless of what is called.
 */
function stepUp(request, response, next) {
  const requiredScope = authority.wantedBySecretTool
  const { method, params } = request.body ?? {}
  const isSecret = method === 'tools/call' && params?.name === 'secret_tool'
  if (!isSecret || request.auth.scopes.includes(requiredScope)) return next()
  const challenge = `Bearer error="insufficient_scope", scope="${requiredScope} ${TOOLS}", resource_metadata="${metadata}"`
  response.status(403).set('WWW-Authenticate', challenge).end()
}

/** Transports by the id of their session. */
const sessions = new Map()

async function handle(request, response) {
  const id = request.headers['mcp-session-id']
  if (id !== undefined) {
    const session = sessions.get(id)
    return session ? session.handleRequest(request, response, request.body) : response.status(404).end()
  }
  const transport = new StreamableHTTPServerTransport({
    sessionIdGenerator: randomUUID,
    onsessioninitialized: (id) => sessions.set(id, transport),
    onsessionclosed: (id) => sessions.delete(id),
  })
  await mcpServer().connect(transport)
  await transport.handleRequest(request, response, request.body)
}

const done = (act) => (request, response) => {
  act(request.params)
  response.status(204).end()
}
const control = express.Router()
control.get('/counts', (_request, response) => response.json(authority.counts))
control.post('/forget_clients', done(() => authority.forgetClients()))
control.post('/expire_tokens', done(() => authority.expireTokens()))
control.post('/access_token_seconds/:seconds', done(({ seconds }) => { authority.accessTokenSeconds = Number(seconds) }))
control.post('/require_scope/:name', done(({ name }) => { authority.wantedBySecretTool = name }))

/** Moves the MCP server to another authorization server, at another origin. */
async function move(_request, response) {
  const elsewhere = createServer()
  await new Promise((done) => elsewhere.listen(0, '127.0.0.1', done))
  const issuerUrl = new URL(`http://127.0.0.1:${elsewhere.address().port}`)
  named = new Authority(issuerUrl.href)
  elsewhere.on('request', express().use(routes(named, issuerUrl)))
  response.status(204).end()
}
control.post('/move', move)

// By default twenty registrations an hour are enough for everybody.
const unlimited = { rateLimit: false }
const routes = (provider, issuerUrl) => mcpAuthRouter({
  provider,
  issuerUrl,
  resourceServerUrl,
  scopesSupported: SCOPES,
  authorizationOptions: unlimited,
  tokenOptions: unlimited,
  revocationOptions: unlimited,
  clientRegistrationOptions: unlimited,
})
const app = express()
app.get(new URL(metadata).pathname, (_request, response, next) => {
  if (named === authority) return next()
  response.json({ resource: resourceServerUrl.href, authorization_servers: [named.issuer], scopes_supported: SCOPES })
})
app.use(routes(authority, issuerUrl))
app.use('/_control', control)
const bearer = requireBearerAuth({
  verifier: { verifyAccessToken: (token) => named.verifyAccessToken(token) },
  requiredScopes: [TOOLS],
  resourceMetadataUrl: metadata,
  expectedResource: resourceServerUrl,
})
app.all('/mcp', bearer, express.json(), stepUp, handle)
server.on('request', app)

console.log(JSON.stringify({ url: resourceServerUrl.href, control: `${origin}/_control` }))
process.stdin.on('end', () => process.exit()).resume()
