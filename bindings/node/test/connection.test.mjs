// From the URL of an API alone to its answer.
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, beforeEach, test } from 'node:test'
import { core, listen, rejection, twins } from './helper.mjs'

const { Client, FileStore, MemoryStore, Network, ResourceConnection, discover, stepUp } = core

const { generic: twin } = await twins()
const { base } = twin
const url = `${base}/api/echo`
// The twin is on this machine, and is the server of its own API.
const loopbackOptions = { transport: 'loopback_http' }

let pages = []
let before = 0
beforeEach(async () => {
  pages = []
  before = (await twin.log()).length
})

/** A user who approves every page that is opened. */
function person(page) {
  pages.push(page)
  fetch(page).catch(() => {})
}

const connection = (options) =>
  new ResourceConnection(url, { clientName: 'Notes', open: person, timeoutMs: 30_000, ...loopbackOptions, ...options })
const paths = async () => (await twin.log()).slice(before).map((entry) => entry.path)
const registrations = async () => (await paths()).filter((place) => place === '/register').length
const fetchJson = async (api, init) => (await api.fetch(url, init)).json()

test('an API that asks for no authorization is called without a token', async () => {
  const seen = []
  let isProtected = false
  const open = createServer((request, response) => {
    const { method, url: place, headers: { authorization } } = request
    seen.push([method, place, authorization])
    const isMetadata = place.startsWith('/.well-known/oauth-protected-resource')
    if (isProtected && isMetadata) return response.end(JSON.stringify({ resource: api.url, authorization_servers: [base] }))
    response.statusCode = place !== '/mcp' ? 404 : isProtected && !authorization ? 401 : 200
    request.pipe(response)
  })
  await new Promise((done) => open.listen(0, '127.0.0.1', done))
  after(() => {
    open.closeAllConnections()
    open.close()
  })
  const place = `http://127.0.0.1:${open.address().port}/mcp`
  const api = new ResourceConnection(place, { clientName: 'Notes', open: person, issuers: [base], ...loopbackOptions })
  assert.equal((await rejection(api.token())).code, 'connect.not_protected')
  const requestCount = seen.length
  const post = async () => {
    const reply = await api.fetch(api.url, { method: 'POST', body: 'hello' })
    assert.deepEqual([reply.status, await reply.text()], [200, 'hello'])
  }
  await post()
  await post()
  // Metadata that is already known is not requested again.
  assert.equal(seen.length, requestCount + 2)
  assert.equal((await rejection(api.fetch(new URL('/elsewhere', api.url)))).code, 'resource.not_covered')
  assert.ok(seen.every(([, , authorization]) => authorization === undefined))
  assert.equal(pages.length, 0)
  // One day it asks for authorization.
  isProtected = true
  await post()
  assert.ok(seen.at(-1)[2].startsWith('Bearer '))
  assert.equal(pages.length, 1)
})

test('the first call discovers the server, registers the client and logs the user in', async () => {
  const api = connection()
  assert.equal(api.url, url)
  assert.equal((await fetchJson(api)).scope, 'read write offline_access')
  assert.deepEqual([await registrations(), pages.length], [1, 1])
  assert(pages[0] instanceof URL)
  assert.equal(pages[0].searchParams.get('resource'), url)

  await twin.expire()
  const tokens = await api.token()
  assert.equal((await api.fetch(url)).status, 200)
  assert.notEqual((await api.renew(tokens)).accessToken, tokens.accessToken)
  assert.equal(pages.length, 1)
})

test('concurrent callers share one login', async () => {
  const api = connection()
  const replies = await Promise.all(Array.from({ length: 20 }, () => api.fetch(url)))
  assert(replies.every(({ status }) => status === 200))
  assert.deepEqual([await registrations(), pages.length], [1, 1])
})

test('a later run with the same store needs no user interaction', async () => {
  const folder = await mkdtemp(path.join(tmpdir(), 'connection-'))
  after(() => rm(folder, { recursive: true }))
  for (let run = 0; run < 2; run++) await connection({ store: new FileStore(folder) }).fetch(url)
  assert.deepEqual([await registrations(), pages.length], [1, 1])
  // A custom store is called on the runtime's thread.
  const inner = new FileStore(folder)
  const customStore = {
    load: (key) => inner.load(key),
    save: (...args) => inner.save(...args),
    lease: (...args) => inner.lease(...args),
  }
  await connection({ store: customStore }).fetch(url)
  assert.deepEqual([await registrations(), pages.length], [1, 1])
})

test('another login requests the scope that the API additionally requires', async () => {
  const api = connection({ wwwAuthenticate: 'Bearer scope="read"' })
  assert.equal((await fetchJson(api)).scope, 'read offline_access')
  // POST wants `write`.
  const { fetch } = api
  assert.equal((await fetch(url, { method: 'POST', body: 'x' })).status, 200)
  assert.equal(pages.length, 2)
  assert.equal(pages[1].searchParams.get('scope'), 'read offline_access write')
  assert.equal((await fetch(url, { method: 'POST', body: 'y' })).status, 200)
  assert.equal(pages.length, 2)

  const headers = new Headers({ 'www-authenticate': 'Bearer error="insufficient_scope", scope="read write"' })
  const requiredStepUp = stepUp({ status: 403, headers })
  assert.equal((await rejection(api.stepUp(await api.token(), requiredStepUp))).code, 'step_up.repeated')
})

test('a client that the server has forgotten registers again', async () => {
  const api = connection()
  const { client_id: first } = await fetchJson(api)
  await twin.forgetClient(first)
  await twin.expire()
  assert.notEqual((await fetchJson(api)).client_id, first)
  assert.deepEqual([await registrations(), pages.length], [2, 2])
  await api.forget()
  assert.equal((await api.fetch(url)).status, 200)
  assert.equal(await registrations(), 3)
})

test('no browser is opened for a server that has forgotten the client', async () => {
  const store = new MemoryStore()
  let first
  const closed = (page) => {
    first = page.searchParams.get('client_id')
    throw new Error('closed')
  }
  await rejection(connection({ store, open: closed }).token())
  await twin.forgetClient(first)
  assert.notEqual((await fetchJson(connection({ store }))).client_id, first)
  assert.deepEqual([await registrations(), pages.length], [2, 1])
})

test('a manually registered client is used only at its issuer', async () => {
  const { clientId, clientSecret } = await twin.client()
  const connectionOptions = { clientName: undefined, clientId, clientSecret, issuer: base, grantType: 'client_credentials' }
  assert.equal((await fetchJson(connection(connectionOptions))).client_id, clientId)
  const atOtherIssuer = connection({ ...connectionOptions, issuer: 'https://as.example' })
  assert.equal((await rejection(atOtherIssuer.token())).code, 'connect.issuer')
  assert.equal(await registrations(), 0)
})

test('a request to a URL outside the API is rejected', async () => {
  const api = connection()
  assert.equal((await rejection(api.fetch(`${base}/api/other`))).code, 'resource.not_covered')
  assert.equal(pages.length, 0)
})

test('an error thrown by the opener ends the login', async () => {
  const failure = new Error('no screen')
  const open = () => { throw failure }
  assert.equal(await rejection(connection({ open }).token()), failure)
})

test('the opener may wait for the final page of the login', async () => {
  const open = async (page) => { await (await fetch(page)).text() }
  assert.ok((await connection({ open }).token({ timeoutMs: 20_000 })).accessToken)
  const failure = new Error('no window')
  const throwFailure = async () => { throw failure }
  assert.equal(await rejection(connection({ open: throwFailure }).token()), failure)
})

test('a connection needs a client, and rejects inconsistent options', async () => {
  assert.equal((await rejection(connection({ clientName: undefined }).token())).code, 'connect.no_client')
  assert.throws(() => connection({ clientId: 'id' }), { code: 'arguments.inconsistent' })
  assert.throws(() => connection({ grantType: 'password' }), { code: 'form.malformed_parameter' })
  assert.throws(() => connection({ open: 'firefox' }), TypeError)
})

test('an authorization server named only by the API must have a public address', async () => {
  const api = await listen((request, reply) => {
    const isPlace = request.url.startsWith('/.well-known/oauth-protected-resource')
    reply.writeHead(isPlace ? 200 : 401, { 'content-type': 'application/json' })
    reply.end(JSON.stringify({ resource: `${api}/mcp`, authorization_servers: [base] }))
  })
  const connected = (options) => new ResourceConnection(`${api}/mcp`, { clientName: 'Notes', open: person, ...loopbackOptions, ...options })
  assert.equal((await rejection(connected().token())).code, 'lost.not_public')
  assert.deepEqual([await registrations(), pages.length], [0, 0])
  // A server that the caller names may have any address.
  await connected({ issuers: [base] }).token()
  assert.deepEqual([await registrations(), pages.length], [1, 1])
})

test('the resource parameter is omitted if configured', async () => {
  const { generic } = await twins()
  await generic.refuseResources()
  const api = (options) => new ResourceConnection(`${generic.base}/api/echo`, { clientName: 'Notes', open: person, timeoutMs: 30_000, ...loopbackOptions, ...options })
  await assert.rejects(api().token(), { code: 'denied.invalid_target' })
  const connected = api({ withoutResource: true })
  const { accessToken } = await connected.token()
  await generic.expire()
  assert.notEqual((await connected.renew(await connected.token())).accessToken, accessToken)
  const sent = (await generic.log()).filter(({ path, form }) => path === '/token' && form.some(([name]) => name === 'resource'))
  assert.deepEqual(sent, [])
})

test('the configured resource is sent instead of the API URL', async () => {
  const { generic } = await twins()
  await generic.renameResource()
  const api = (options) => new ResourceConnection(`${generic.base}/api/echo`, { clientName: 'Notes', open: person, timeoutMs: 30_000, ...loopbackOptions, ...options })
  await assert.rejects(api().token(), { code: 'denied.invalid_target' })
  const connected = api({ resource: 'api://echo' })
  await connected.token()
  await generic.expire()
  assert.equal((await connected.fetch(connected.url)).status, 200)
  const sent = (await generic.log()).filter(({ path }) => path === '/token').map(({ form }) => new Map(form).get('resource'))
  assert.deepEqual(sent, ['api://echo', 'api://echo'])
  assert.throws(() => api({ resource: 'api://echo', withoutResource: true }), { code: 'arguments.inconsistent' })
})

test('the caller may reject or choose among several authorization servers', async () => {
  const servers = ['http://127.0.0.1:1', base]
  const api = await listen((request, response) => {
    const isMetadata = request.url.startsWith('/.well-known/oauth-protected-resource')
    response.statusCode = isMetadata ? 200 : 401
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify({ resource: `${api}/mcp`, authorization_servers: servers }))
  })
  const network = new Network({ addresses: 'any' })
  const connected = (options) =>
    new ResourceConnection(`${api}/mcp`, { clientName: 'Notes', open: person, network, ...loopbackOptions, ...options })
  const several = await rejection(connected({ onSeveralServers: 'error' }).token())
  assert.equal(several.code, 'connect.several_servers')
  assert.ok(servers.every((server) => several.message.includes(server)), several.message)
  // The first of them does not answer.
  assert.equal((await rejection(connected().token())).kind, 'lost')
  assert.equal(pages.length, 0)
  assert.ok((await connected({ issuers: [base, servers[0]], onSeveralServers: 'error' }).token()).accessToken)
  assert.equal(pages.length, 1)
  assert.throws(() => connected({ onSeveralServers: 'ask' }), { code: 'form.malformed_parameter' })
})

test('a client is identified by its client ID metadata document', async () => {
  const { generic } = await twins()
  await generic.acceptClientIdMetadata()
  let document
  const home = await listen((request, response) => {
    response.setHeader('content-type', 'application/json')
    response.end(document)
  })
  const clientId = `${home}/client.json`
  const server = await discover(generic.base, { transport: 'loopback_http' })
  const metadata = { client_name: 'Notes', redirect_uris: ['http://127.0.0.1/callback'], grant_types: ['authorization_code', 'refresh_token'] }
  ;({ document } = await new Client(server, { clientId }).clientIdMetadata({ metadata, mcp: true }))
  const api = new ResourceConnection(`${generic.base}/api/echo`, { clientMetadataUrl: clientId, open: person, timeoutMs: 30_000, ...loopbackOptions })
  const reply = await (await api.fetch(`${generic.base}/api/echo`)).json()
  assert.equal(reply.client_id, clientId)
  assert.ok(!(await generic.log()).some(({ path }) => path === '/register'))
})

test('metadata signed by a trusted signer takes precedence over unsigned metadata', async () => {
  const { generic } = await twins()
  const resource = `${generic.base}/api/echo`
  await generic.signResourceMetadata({ resource, authorization_servers: [generic.base], resource_name: 'Signed' })
  const keys = await (await fetch(`${generic.base}/jwks`)).json()
  const client = new Client(await discover(generic.base, { transport: 'loopback_http' }), { clientId: 'app' })
  const plain = await client.resourceMetadata({ resource })
  assert.deepEqual([plain.signedBy, plain.metadata.resource_name], [undefined, 'The twin\'s API'])
  const signed = await client.resourceMetadata({ resource, signers: { [generic.base]: keys } })
  assert.deepEqual([signed.signedBy, signed.metadata.resource_name], [generic.base, 'Signed'])
  const other = await client.resourceMetadata({ resource, signers: { 'https://other.example': keys } })
  assert.equal(other.signedBy, undefined)

  await generic.signResourceMetadata({ resource, authorization_servers: ['https://signed.example'] })
  const connected = (signer) => new ResourceConnection(resource, {
    clientName: 'Notes', open: person, issuers: [generic.base], signers: { [signer]: keys }, ...loopbackOptions,
  })
  assert.equal((await rejection(connected(generic.base).token())).code, 'connect.server_not_allowed')
  assert.equal((await connected('https://other.example').fetch(resource)).status, 200)
  assert.throws(() => new ResourceConnection(resource, { signers: { [generic.base]: [] }, ...loopbackOptions }), { code: 'jwks.malformed' })
  await assert.rejects(client.resourceMetadata({ resource, signers: { [generic.base]: [] } }), { code: 'jwks.malformed' })
})
