// Two APIs on one origin, each with its own metadata: neither receives anything that belongs to the other.
import assert from 'node:assert/strict'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, test } from 'node:test'
import { core, listen, rejection, twins } from './helper.mjs'

const { FileStore, ResourceConnection } = core
const METADATA_PATH = '/.well-known/oauth-protected-resource'

/** The APIs `/a` and `/b`, whose tokens these two servers issue. */
async function twoApis(a, b) {
  const apis = {
    issuers: { a: a.base, b: b.base },
    // Tokens that are not enough for a POST.
    insufficientTokens: new Set(),
    // Tokens that are refused, with a challenge that names the metadata.
    refusedTokens: new Set(),
    // The API whose metadata the challenge of each API names.
    challengeNames: { a: 'a', b: 'b' },
    requests: [],
    pages: [],
  }
  const origin = await listen((request, reply) => {
    request.resume()
    const last = request.url.split('/').at(-1)
    if (request.url.startsWith(METADATA_PATH)) {
      const issuer = apis.issuers[last]
      reply.writeHead(issuer ? 200 : 404, { 'content-type': 'application/json' })
      return reply.end(JSON.stringify({ resource: `${origin}/${last}`, authorization_servers: [issuer], scopes_supported: ['read'] }))
    }
    const { method, headers: { authorization } } = request
    apis.requests.push([request.url, authorization])
    if (request.url === '/a/moved') return reply.writeHead(307, { location: '/b/stolen' }).end()
    if (!authorization || apis.refusedTokens.has(authorization)) {
      return reply.writeHead(401, { 'www-authenticate': `Bearer resource_metadata="${origin}${METADATA_PATH}/${apis.challengeNames[last]}"` }).end()
    }
    if (method === 'POST' && apis.insufficientTokens.has(authorization)) {
      return reply.writeHead(403, { 'www-authenticate': 'Bearer error="insufficient_scope", scope="read write"' }).end()
    }
    reply.end('served')
  })
  const folder = await mkdtemp(path.join(tmpdir(), 'siblings-'))
  after(() => rm(folder, { recursive: true }))
  apis.origin = origin
  apis.folder = folder
  apis.connection = (name, options) => new ResourceConnection(`${origin}/${name}`, {
    clientName: 'Notes',
    open: (page) => {
      apis.pages.push(page)
      fetch(page).catch(() => {})
    },
    issuers: [...new Set(Object.values(apis.issuers))],
    store: new FileStore(folder),
    timeoutMs: 30_000,
    transport: 'loopback_http',
    ...options,
  })
  /** The tokens that were sent to the URL of one API, or beneath it. */
  apis.tokens = (name) => [...new Set(apis.requests.filter(([url, token]) => token && url.split('/')[1] === name).map(([, token]) => token))]
  return apis
}

for (const servers of ['two', 'one']) {
  test(`at ${servers} server${servers === 'two' ? 's' : ''} each API has its own client, login and tokens`, async () => {
    const { generic: first, 'identity-provider': other } = await twins()
    const second = servers === 'two' ? other : first
    const apis = await twoApis(first, second)
    const [a, b] = [apis.connection('a'), apis.connection('b')]
    for (const api of [a, b]) assert.equal((await api.fetch(api.url)).status, 200)
    const originAndResource = (page) => [page.origin, page.searchParams.get('resource')]
    assert.deepEqual(apis.pages.map(originAndResource), [[first.base, a.url], [second.base, b.url]])
    const clients = apis.pages.map((page) => page.searchParams.get('client_id'))
    assert.notEqual(clients[0], clients[1])
    const { accessToken: storedToken } = await b.token()

    // The first API requires more scope: nothing changes for the second.
    apis.insufficientTokens.add(`Bearer ${(await a.token()).accessToken}`)
    for (const api of [a, b]) assert.equal((await api.fetch(api.url, { method: 'POST', body: 'x' })).status, 200)
    assert.equal(apis.pages.length, 3)
    assert.deepEqual(originAndResource(apis.pages[2]), [first.base, a.url])
    assert.ok(apis.pages[2].searchParams.get('scope').split(' ').includes('write'))
    assert.equal((await b.token()).accessToken, storedToken)

    // Nothing changes in another process with the same store either, or when the first is renewed or forgotten.
    const { accessToken: renewed } = await a.renew(await a.token())
    assert.equal((await apis.connection('a').token()).accessToken, renewed)
    await a.forget()
    assert.equal((await apis.connection('b').token()).accessToken, storedToken)
    assert.equal(apis.pages.length, 3)
    assert.deepEqual([apis.tokens('a').length, apis.tokens('b')], [2, [`Bearer ${storedToken}`]])
    assert.ok(!apis.tokens('a').includes(`Bearer ${storedToken}`))
  })
}

test('requests for one API never reach the other', async () => {
  const { generic } = await twins()
  const apis = await twoApis(generic, generic)
  const a = apis.connection('a')
  assert.equal((await a.fetch(a.url)).status, 200)
  for (const target of ['b', 'ab', 'a/../b', 'a/%2e%2e/b']) {
    assert.equal((await rejection(a.fetch(`${apis.origin}/${target}`))).code, 'resource.not_covered', target)
  }
  // A redirect from one API to the other is returned to the caller, and not followed.
  assert.equal((await a.fetch(`${apis.origin}/a/moved`)).status, 307)
  assert.deepEqual(apis.tokens('b'), [])
  assert.ok(apis.requests.every(([url]) => url.startsWith('/a')))
})

test('the metadata of one API does not apply to the other', async () => {
  const { generic, 'identity-provider': other } = await twins()
  const apis = await twoApis(generic, other)
  apis.challengeNames.a = 'b'
  assert.equal((await rejection(apis.connection('a').token())).code, 'resource_metadata.resource')
  assert.equal(apis.pages.length, 0)
})

test('the client secret of one API is not sent to the server of the other', async () => {
  const { generic: first, 'identity-provider': second } = await twins()
  const apis = await twoApis(first, second)
  const { clientId, clientSecret } = await first.client()
  const connectionOptions = { clientName: undefined, clientId, clientSecret, issuer: first.base, grantType: 'client_credentials' }
  const a = apis.connection('a', connectionOptions)
  assert.equal((await a.fetch(a.url)).status, 200)
  assert.equal((await rejection(apis.connection('b', connectionOptions).token())).code, 'connect.issuer')
  assert.deepEqual([await second.log(), apis.tokens('b')], [[], []])
})

test('a 401 with changed metadata leads to a login at the new server (RFC 9728 section 5.2)', async () => {
  const { generic: first, 'identity-provider': second } = await twins()
  const apis = await twoApis(first, second)
  const issuers = [first.base, second.base]
  const { accessToken: old } = await apis.connection('a', { issuers }).token()
  apis.refusedTokens.add(`Bearer ${old}`)
  apis.issuers.a = second.base
  // Metadata is cached for five minutes: backdate it.
  for (const name of await readdir(apis.folder)) {
    const storeFile = path.join(apis.folder, name)
    const text = await readFile(storeFile, 'utf8')
    await writeFile(storeFile, text.replace(/(found_at\\*":)(\d+)/, (_, member, at) => `${member}${at - 600}`))
  }
  const moved = apis.connection('a', { issuers })
  assert.equal((await moved.fetch(moved.url)).status, 200)
  assert.deepEqual(apis.pages.map((page) => page.origin), issuers)
  const clients = apis.pages.map((page) => page.searchParams.get('client_id'))
  assert.notEqual(clients[0], clients[1])
  assert.equal((await first.counters()).refreshes, 0)
  const logText = JSON.stringify(await second.log())
  assert.ok(!logText.includes(old) && !logText.includes(clients[0]))
  // Nothing from the former server is kept.
  for (const name of await readdir(apis.folder)) assert.ok(!(await readFile(path.join(apis.folder, name), 'utf8')).includes(old))
})
