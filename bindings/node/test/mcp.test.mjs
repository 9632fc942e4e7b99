// MCP servers built with three SDKs, called by the official TypeScript SDK with our tokens.
import assert from 'node:assert/strict'
import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { core, mcpServer, rejection, root } from './helper.mjs'

// A development tool of the tests, not a dependency of the package.
const tools = createRequire(path.join(root, 'tests/mcp/typescript/package.json'))
const sdk = (name) => import(pathToFileURL(tools.resolve(`@modelcontextprotocol/sdk/client/${name}.js`)))
const { Client } = await sdk('index')
const { StreamableHTTPClientTransport } = await sdk('streamableHttp')
const { UnauthorizedError } = await sdk('auth')
const { FileStore, Network, ResourceConnection } = core

const SERVERS = ['python', 'typescript', 'rust']

/** A server, and a user who approves every page. */
class Server {
  pages = 0
  #controlUrl

  constructor({ url, control }) {
    this.url = url
    this.#controlUrl = control
  }

  static async start(name) {
    return new Server(await mcpServer(name))
  }

  async control(action) {
    assert.equal((await fetch(`${this.#controlUrl}/${action}`, { method: 'POST' })).status, 204)
  }

  /** The counts of these events. */
  async counts(...names) {
    const counts = await (await fetch(`${this.#controlUrl}/counts`)).json()
    return names.map((name) => counts[name] ?? 0)
  }

  connection(options) {
    const open = (page) => {
      this.pages += 1
      fetch(page).catch(() => {})
    }
    const loopbackOptions = { transport: 'loopback_http', network: new Network({ addresses: 'any' }) }
    return new ResourceConnection(this.url, { clientName: 'Notes', open, timeoutMs: 30_000, ...loopbackOptions, ...options })
  }

  /** Runs `work` with a client of the SDK. */
  async within(options, work) {
    const client = new Client({ name: 'notes', version: '1.0.0' })
    await client.connect(new StreamableHTTPClientTransport(new URL(this.url), options))
    try {
      return await work(client)
    } finally {
      await client.close()
    }
  }

  /** The results of these tools, each called over its own connection. */
  async callTools(api, ...names) {
    const results = []
    for (const name of names) results.push(await this.within({ fetch: api.fetch }, (client) => call(client, name)))
    return results
  }
}

/** The keys of the grants in a store. */
async function grantsIn(store) {
  const { keys } = await store.scan()
  const entries = await Promise.all(keys.map(async (key) => [key, await store.load(key)]))
  return entries.filter(([, entry]) => entry?.record.includes('access_token')).map(([key]) => key)
}

async function call(client, name) {
  const { content } = await client.callTool({ name, arguments: name === 'echo' ? { text: 'hello' } : {} })
  return content[0].text
}

for (const name of SERVERS) {
  test(`${name}: the first call registers the client and logs in`, async () => {
    const server = await Server.start(name)
    assert.deepEqual(await server.callTools(server.connection(), 'echo', 'echo'), ['hello', 'hello'])
    assert.deepEqual(await server.counts('registrations', 'code_redemptions', 'tool_calls'), [1, 1, 2])
    assert.equal(server.pages, 1)
  })

  test(`${name}: an expired token is refreshed once`, async () => {
    const server = await Server.start(name)
    const { fetch } = server.connection()
    await server.within({ fetch }, async (client) => {
      await call(client, 'echo')
      await server.control('expire_tokens')
      assert.equal(await call(client, 'echo'), 'hello')
    })
    assert.deepEqual(await server.counts('refreshes', 'refresh_token_reuses', 'registrations'), [1, 0, 1])
    assert.equal(server.pages, 1)
  })

  test(`${name}: a client that the server has forgotten registers again once`, async () => {
    const server = await Server.start(name)
    const api = server.connection()
    await server.callTools(api, 'echo')
    await server.control('forget_clients')
    assert.deepEqual(await server.callTools(api, 'echo', 'echo'), ['hello', 'hello'])
    assert.deepEqual(await server.counts('registrations'), [2])
    assert.equal(server.pages, 2)
  })

  test(`${name}: the user approves an additional scope of a tool once`, async () => {
    const server = await Server.start(name)
    const api = server.connection()
    const steppedUp = () => server.within({ fetch: api.fetch }, async (client) => {
      await call(client, 'echo')
      return call(client, 'secret_tool')
    })
    if (name === 'python') {
      // The client is registered anew for the scope, and the session belonged to the former one.
      assert.equal((await rejection(steppedUp())).code, 404)
      assert.equal(server.pages, 2)
    }
    const results = [await steppedUp(), await steppedUp()]
    assert(results[0])
    assert.equal(results[0], results[1])
    assert.equal(server.pages, 2)
    await server.within({ fetch: api.fetch }, async (client) => {
      // A scope that the token never has enough of is not requested forever.
      await server.control('require_scope/mcp:other')
      const pages = []
      let failure
      for (let turn = 0; turn < 3; turn += 1) {
        failure = await rejection(call(client, 'secret_tool'))
        pages.push(server.pages)
      }
      assert(pages[0] <= 3 && pages[2] === pages[1], `${pages}`)
      assert.match(failure.code, /^step_up\./)
      assert.equal(await call(client, 'echo'), 'hello')
    })
  })

  test(`${name}: the next run registers no client`, async () => {
    const server = await Server.start(name)
    const folder = await mkdtemp(path.join(tmpdir(), 'mcp-'))
    after(() => rm(folder, { recursive: true }))
    for (let run = 0; run < 2; run += 1) {
      const api = server.connection({ store: new FileStore(folder) })
      assert.deepEqual(await server.callTools(api, 'echo'), ['hello'])
    }
    assert.deepEqual(await server.counts('registrations'), [1])
    assert.equal(server.pages, 1)
  })
}

/** The same connection, in either place of the SDK's transport that takes one. */
const provided = (api) => ({ authProvider: api.authProvider })

for (const name of SERVERS) {
  test(`${name}: the SDK's authProvider registers, logs in and renews expired tokens`, async () => {
    const server = await Server.start(name)
    const api = server.connection()
    await server.within(provided(api), async (client) => {
      assert.equal(await call(client, 'echo'), 'hello')
      await server.control('expire_tokens')
      assert.equal(await call(client, 'echo'), 'hello')
      await server.control('expire_tokens')
      assert.equal(await call(client, 'echo'), 'hello')
    })
    // The SDK has shown no page to the user.
    const counts = await server.counts('registrations', 'code_redemptions', 'refreshes', 'refresh_token_reuses')
    assert.deepEqual(counts, [1, 1, 2, 0])
    assert.equal(server.pages, 1)
  })

  test(`${name}: the SDK's authProvider registers a client again that the server has forgotten`, async () => {
    const server = await Server.start(name)
    const api = server.connection()
    const echoed = () => server.within(provided(api), (client) => call(client, 'echo'))
    assert.equal(await echoed(), 'hello')
    await server.control('forget_clients')
    assert.equal(await echoed(), 'hello')
    assert.deepEqual(await server.counts('registrations'), [2])
    assert.equal(server.pages, 2)
  })

  test(`${name}: the SDK's authProvider requests an additional scope of a tool`, async () => {
    const server = await Server.start(name)
    const api = server.connection()
    const steppedUp = () => server.within(provided(api), async (client) => {
      await call(client, 'echo')
      return call(client, 'secret_tool')
    })
    // As above: a session of the Python server is the first client's.
    if (name === 'python') assert.equal((await rejection(steppedUp())).code, 404)
    assert(await steppedUp())
    assert.equal(server.pages, 2)
    await server.within(provided(api), async (client) => {
      await server.control('require_scope/mcp:other')
      const pages = []
      for (let turn = 0; turn < 3; turn += 1) {
        await rejection(call(client, 'secret_tool'))
        pages.push(server.pages)
      }
      assert(pages[0] <= 3 && pages[2] === pages[1], `${pages}`)
      assert.equal(await call(client, 'echo'), 'hello')
    })
  })
}

for (const [way, chosen] of Object.entries({ authProvider: provided, fetch: ({ fetch }) => ({ fetch }) })) {
  test(`typescript: a connection follows a change of authorization server, by its ${way}`, async () => {
    const server = await Server.start('typescript')
    const folder = await mkdtemp(path.join(tmpdir(), 'oauth-core-'))
    after(() => rm(folder, { recursive: true }))
    const store = new FileStore(folder)
    await server.within(chosen(server.connection({ store })), (client) => call(client, 'echo'))
    // Metadata is cached: backdate it.
    for (const file of await readdir(folder)) {
      const storeFile = path.join(folder, file)
      const text = await readFile(storeFile, 'utf8')
      await writeFile(storeFile, text.replace(/(found_at\\*":)(\d+)/, (_, member, at) => `${member}${at - 600}`))
    }
    const before = await grantsIn(store)
    await server.control('move')
    assert.equal(await server.within(chosen(server.connection({ store })), (client) => call(client, 'echo')), 'hello')
    assert.equal(server.pages, 2)
    assert.deepEqual(await server.counts('registrations', 'refreshes'), [1, 0])
    // The tokens of the former server are gone.
    const now = await grantsIn(store)
    assert.deepEqual([before.length, now.length], [1, 1])
    assert.notDeepEqual(now, before)
  })
}

test('typescript: an authProvider passes on the errors of the connection', async () => {
  const server = await Server.start('typescript')
  const api = server.connection({ open: () => { throw new RangeError('nobody is here') } })
  const failure = await rejection(server.within(provided(api), (client) => call(client, 'echo')))
  assert.equal(failure.message, 'nobody is here')
  // The remaining members that the SDK requires.
  const { authProvider } = api
  assert.equal(authProvider, api.authProvider)
  assert.equal(authProvider.redirectUrl, undefined)
  await authProvider.invalidateCredentials('verifier')
  await authProvider.invalidateCredentials('tokens')
})

// Why a connection has its own provider: one that only gives the SDK tokens, and nothing else.
test('typescript: with a plain OAuthClientProvider, the SDK does not retry after a 401', async () => {
  const server = await Server.start('typescript')
  const api = server.connection()
  const information = { client_id: 'unused' }
  const requests = []
  const authProvider = {
    redirectUrl: 'http://127.0.0.1/callback',
    clientMetadata: { redirect_uris: ['http://127.0.0.1/callback'] },
    clientInformation: () => information,
    async tokens() {
      const { accessToken } = await api.token()
      return { access_token: accessToken, token_type: 'Bearer' }
    },
    saveTokens: () => requests.push('saveTokens'),
    saveCodeVerifier() {},
    codeVerifier: () => '',
    async redirectToAuthorization() {
      requests.push('redirectToAuthorization')
      // Whatever is done here, the transport does not ask for a token again.
      await api.renew(await api.token())
    },
  }
  await server.within({ authProvider }, async (client) => {
    assert.equal(await call(client, 'echo'), 'hello')
    await server.control('expire_tokens')
    assert(await rejection(call(client, 'echo')) instanceof UnauthorizedError)
    assert.deepEqual(requests, ['redirectToAuthorization'])
    assert.equal(await call(client, 'echo'), 'hello')
  })
})

test('a connection declares the MCP authorization extension that it uses', async () => {
  const connectionOptions = { clientId: 'id', clientSecret: 's', issuer: 'https://as.example' }
  const identityProvider = new core.Client(core.Server.fromMetadata('https://idp.example', { issuer: 'https://idp.example' }), { clientId: 'id', clientSecret: 's' })
  for (const [options, declared] of [
    [{}, {}],
    [{ grantType: 'client_credentials' }, { 'io.modelcontextprotocol/oauth-client-credentials': {} }],
    [{ identityProvider, signIn: core.fixedToken('t', { origins: ['https://idp.example'] }) }, { 'io.modelcontextprotocol/enterprise-managed-authorization': {} }],
  ]) {
    const { url, extensions } = new ResourceConnection('https://mcp.example/mcp', { ...connectionOptions, ...options })
    assert.deepEqual(extensions, declared)
    const sentMessages = []
    const fetch = async (_, { body }) => {
      sentMessages.push(JSON.parse(body))
      return new Response(null, { status: 500 })
    }
    const client = new Client({ name: 'notes', version: '1.0.0' }, { capabilities: { extensions } })
    await rejection(client.connect(new StreamableHTTPClientTransport(new URL(url), { fetch })))
    assert.equal(sentMessages[0].method, 'initialize')
    assert.deepEqual(sentMessages[0].params.capabilities.extensions, declared)
  }
})
