// Two APIs on one origin, each with its own metadata: neither receives anything that belongs to the other.
import assert from 'node:assert/strict'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, test } from 'node:test'
import { core, listen, rejection, twins } from './helper.mjs'

const { FileStore, ResourceConnection } = core
const PLACE = '/.well-known/oauth-protected-resource'

/** `/a` and `/b`, whose tokens these two servers issue. */
async function siblings(a, b) {
  const both = {
    issuers: { a: a.base, b: b.base },
    // Tokens that are not enough for a POST.
    narrow: new Set(),
    // Tokens that are refused, with a challenge that names the metadata.
    dead: new Set(),
    // Whose metadata the challenge of each names.
    named: { a: 'a', b: 'b' },
    seen: [],
    pages: [],
  }
  const origin = await listen((request, reply) => {
    request.resume()
    const last = request.url.split('/').at(-1)
    if (request.url.startsWith(PLACE)) {
      const issuer = both.issuers[last]
      reply.writeHead(issuer ? 200 : 404, { 'content-type': 'application/json' })
      return reply.end(JSON.stringify({ resource: `${origin}/${last}`, authorization_servers: [issuer], scopes_supported: ['read'] }))
    }
    const { method, headers: { authorization } } = request
    both.seen.push([request.url, authorization])
    if (request.url === '/a/moved') return reply.writeHead(307, { location: '/b/stolen' }).end()
    if (!authorization || both.dead.has(authorization)) {
      return reply.writeHead(401, { 'www-authenticate': `Bearer resource_metadata="${origin}${PLACE}/${both.named[last]}"` }).end()
    }
    if (method === 'POST' && both.narrow.has(authorization)) {
      return reply.writeHead(403, { 'www-authenticate': 'Bearer error="insufficient_scope", scope="read write"' }).end()
    }
    reply.end('served')
  })
  const folder = await mkdtemp(path.join(tmpdir(), 'siblings-'))
  after(() => rm(folder, { recursive: true }))
  both.origin = origin
  both.folder = folder
  both.connection = (name, options) => new ResourceConnection(`${origin}/${name}`, {
    clientName: 'Notes',
    open: (page) => {
      both.pages.push(page)
      fetch(page).catch(() => {})
    },
    issuers: [...new Set(Object.values(both.issuers))],
    store: new FileStore(folder),
    timeoutMs: 30_000,
    transport: 'loopback_http',
    ...options,
  })
  /** The tokens that were sent to the one or the other, and beneath it. */
  both.tokens = (name) => [...new Set(both.seen.filter(([url, token]) => token && url.split('/')[1] === name).map(([, token]) => token))]
  return both
}

for (const servers of ['two', 'one']) {
  test(`at ${servers} server${servers === 'two' ? 's' : ''} each API has its own client, login and tokens`, async () => {
    const { generic: first, 'identity-provider': other } = await twins()
    const second = servers === 'two' ? other : first
    const both = await siblings(first, second)
    const [a, b] = [both.connection('a'), both.connection('b')]
    for (const api of [a, b]) assert.equal((await api.fetch(api.url)).status, 200)
    const originAndResource = (page) => [page.origin, page.searchParams.get('resource')]
    assert.deepEqual(both.pages.map(originAndResource), [[first.base, a.url], [second.base, b.url]])
    const clients = both.pages.map((page) => page.searchParams.get('client_id'))
    assert.notEqual(clients[0], clients[1])
    const { accessToken: storedToken } = await b.token()

    // The one wants more: nothing changes for the other.
    both.narrow.add(`Bearer ${(await a.token()).accessToken}`)
    for (const api of [a, b]) assert.equal((await api.fetch(api.url, { method: 'POST', body: 'x' })).status, 200)
    assert.equal(both.pages.length, 3)
    assert.deepEqual(originAndResource(both.pages[2]), [first.base, a.url])
    assert.ok(both.pages[2].searchParams.get('scope').split(' ').includes('write'))
    assert.equal((await b.token()).accessToken, storedToken)

    // Nor in another process with the same store, nor where the one is renewed or forgotten.
    const { accessToken: renewed } = await a.renew(await a.token())
    assert.equal((await both.connection('a').token()).accessToken, renewed)
    await a.forget()
    assert.equal((await both.connection('b').token()).accessToken, storedToken)
    assert.equal(both.pages.length, 3)
    assert.deepEqual([both.tokens('a').length, both.tokens('b')], [2, [`Bearer ${storedToken}`]])
    assert.ok(!both.tokens('a').includes(`Bearer ${storedToken}`))
  })
}

test('requests for one API never reach the other', async () => {
  const { generic } = await twins()
  const both = await siblings(generic, generic)
  const a = both.connection('a')
  assert.equal((await a.fetch(a.url)).status, 200)
  for (const place of ['b', 'ab', 'a/../b', 'a/%2e%2e/b']) {
    assert.equal((await rejection(a.fetch(`${both.origin}/${place}`))).code, 'resource.not_covered', place)
  }
  // Where the one sends on to the other, the caller is shown that, and nothing follows.
  assert.equal((await a.fetch(`${both.origin}/a/moved`)).status, 307)
  assert.deepEqual(both.tokens('b'), [])
  assert.ok(both.seen.every(([url]) => url.startsWith('/a')))
})

test('the metadata of one API does not apply to the other', async () => {
  const { generic, 'identity-provider': other } = await twins()
  const both = await siblings(generic, other)
  both.named.a = 'b'
  assert.equal((await rejection(both.connection('a').token())).code, 'resource_metadata.resource')
  assert.equal(both.pages.length, 0)
})

test('the client secret of one API is not sent to the server of the other', async () => {
  const { generic: first, 'identity-provider': second } = await twins()
  const both = await siblings(first, second)
  const { clientId, clientSecret } = await first.client()
  const connectionOptions = { clientName: undefined, clientId, clientSecret, issuer: first.base, grantType: 'client_credentials' }
  const a = both.connection('a', connectionOptions)
  assert.equal((await a.fetch(a.url)).status, 200)
  assert.equal((await rejection(both.connection('b', connectionOptions).token())).code, 'connect.issuer')
  assert.deepEqual([await second.log(), both.tokens('b')], [[], []])
})

test('a 401 with changed metadata leads to a login at the new server (RFC 9728 section 5.2)', async () => {
  const { generic: first, 'identity-provider': second } = await twins()
  const both = await siblings(first, second)
  const issuers = [first.base, second.base]
  const { accessToken: old } = await both.connection('a', { issuers }).token()
  both.dead.add(`Bearer ${old}`)
  both.issuers.a = second.base
  // Metadata is cached for five minutes: backdate it.
  for (const name of await readdir(both.folder)) {
    const storeFile = path.join(both.folder, name)
    const text = await readFile(storeFile, 'utf8')
    await writeFile(storeFile, text.replace(/(found_at\\*":)(\d+)/, (_, member, at) => `${member}${at - 600}`))
  }
  const moved = both.connection('a', { issuers })
  assert.equal((await moved.fetch(moved.url)).status, 200)
  assert.deepEqual(both.pages.map((page) => page.origin), issuers)
  const clients = both.pages.map((page) => page.searchParams.get('client_id'))
  assert.notEqual(clients[0], clients[1])
  assert.equal((await first.counters()).refreshes, 0)
  const logText = JSON.stringify(await second.log())
  assert.ok(!logText.includes(old) && !logText.includes(clients[0]))
  // Nothing of the former server's is kept.
  for (const name of await readdir(both.folder)) assert.ok(!(await readFile(path.join(both.folder, name), 'utf8')).includes(old))
})
