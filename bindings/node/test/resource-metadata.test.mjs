// What an API says about itself (RFC 9728): asked natively, over a `fetch`, and step by step.
import assert from 'node:assert/strict'
import { beforeEach, test } from 'node:test'
import { core, rejection, twins } from './helper.mjs'

const { Client, Network, ProtectedResourceMetadata, discover } = core
const place = '/.well-known/oauth-protected-resource'

const { generic: twin } = await twins()
const { base } = twin
const server = await discover(base, { transport: 'loopback_http' })
const resource = `${base}/api/echo`
// A challenge's URL is of the server's choice: to reach this machine has to be allowed.
const any = { network: new Network({ addresses: 'any' }) }

const client = (options) => new Client(server, { clientId: 'id', clientAuth: 'none', ...options })
const code = async (call) => (await rejection(call)).code

/** The challenges of the API's response to requests without a token. */
async function challenges() {
  const reply = await fetch(resource)
  assert.equal(reply.status, 401)
  return [reply.headers.get('www-authenticate')]
}

let before = 0
const all = async () => (await twin.log()).map(({ path }) => path).filter((path) => path.startsWith(place))
const newRequests = async () => (await all()).slice(before)

beforeEach(async () => {
  before = (await all()).length
})

for (const [name, options] of [['native', {}], ['fetch', { fetch }]]) {
  test(`an API names the issuer of its tokens: ${name}`, async () => {
    const found = await client(options).resourceMetadata({ resource })
    assert(found instanceof ProtectedResourceMetadata)
    assert.equal(found.resource, resource)
    assert.deepEqual([...found.authorizationServers], [base])
    assert.deepEqual([...found.scopesSupported], ['read', 'write'])
    assert.deepEqual([found.requiresDpop, found.requiresMtls, [...found.dpopAlgs]], [false, false, []])
    assert.equal(found.metadata.resource_name, "The twin's API")
  })
}

test('metadata of a parent path is accepted only if allowed', async () => {
  const below = `${base}/api`
  assert.equal(await code(client().resourceMetadata({ resource: below })), 'denied.http_status')
  assert.deepEqual(await newRequests(), [`${place}/api`])
  const parent = await client().resourceMetadata({ resource: below, matching: 'parent' })
  assert.equal(parent.resource, base)
  await assert.rejects(client().resourceMetadata({ resource: below, matching: 'any' }), TypeError)
})

test('resource metadata is read at the URL of the challenge', async () => {
  const discoveryOptions = { resource, challenges: await challenges() }
  assert.equal((await client(any).resourceMetadata(discoveryOptions)).resource, resource)
  assert.deepEqual(await newRequests(), [`${place}/api/echo`])
  // It is the API's own origin, which the caller named.
  assert.equal((await client().resourceMetadata(discoveryOptions)).resource, resource)
  assert.deepEqual(await newRequests(), [`${place}/api/echo`, `${place}/api/echo`])
  const strict = client({ network: new Network({ addresses: 'public_only' }) })
  assert.equal(await code(strict.resourceMetadata({ resource })), 'lost.not_public')
  assert.deepEqual(await newRequests(), [`${place}/api/echo`, `${place}/api/echo`])
  assert.throws(() => new Network({ addresses: 'none' }), /addresses/)
})

for (const url of ['http://169.254.169.254/latest/meta-data', 'https://evil.example/']) {
  test(`a challenge with metadata at another origin is rejected before a request: ${url}`, async () => {
    await twin.fault('other_resource_metadata', { url })
    const discoveryOptions = { resource, challenges: await challenges() }
    assert.equal(await code(client().resourceMetadata(discoveryOptions)), 'resource_metadata.url')
    assert.deepEqual(await newRequests(), [])
  })
}

for (const [fault, refused] of Object.entries({
  other_resource: 'resource_metadata.resource',
  no_authorization_server: 'resource_metadata.no_authorization_server',
  redirect_to: 'reply.redirect',
  duplicate_member: 'reply.duplicate_member',
  html: 'reply.content_type',
})) {
  test(`invalid metadata is rejected: ${fault}`, async () => {
    await twin.fault(fault)
    assert.equal(await code(client().resourceMetadata({ resource })), refused)
    assert.equal((await newRequests()).length, 1)
  })
}

test('resource metadata discovery runs step by step', () => {
  const exchange = client().exchange.resourceMetadata({ resource: 'http://127.0.0.1/mcp', matching: 'parent' })
  let step = exchange.begin()
  assert.deepEqual([step.kind, step.method, step.url], ['send', 'GET', `http://127.0.0.1${place}/mcp`])
  step = exchange.reply({ status: 404, headers: [], body: new Uint8Array() })
  assert.equal(step.url, `http://127.0.0.1${place}`)
  const body = Buffer.from('{"resource":"http://127.0.0.1","authorization_servers":["http://127.0.0.1:1"]}')
  step = exchange.reply({ status: 200, headers: [['content-type', 'application/json']], body })
  assert.equal(step.kind, 'done')
  assert.deepEqual([...step.value.authorizationServers], ['http://127.0.0.1:1'])
})
