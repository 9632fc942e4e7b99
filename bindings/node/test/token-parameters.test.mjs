// Additional parameters of token requests: resources, audiences, and those of a provider.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { core, listen, rejection, serverAt } from './helper.mjs'

const { Client, MemoryStore, Grants } = core

const [A, B] = ['https://a.example/', 'urn:b']
const args = { resource: [A, B], audience: ['c'], extra: { expiring: '1', tag: ['x', 'y'] } }
const SENT = [['resource', A], ['resource', B], ['audience', 'c'], ['expiring', '1'], ['tag', 'x'], ['tag', 'y']]
const GRANT_PARAMETERS = [
  'grant_type', 'code', 'code_verifier', 'redirect_uri', 'refresh_token', 'scope', 'username', 'password',
]

/**
 * A client whose server issues a new token for each request, and the parameters of the last request except those of its
 * grant.
 */
async function start() {
  const bodies = []
  const base = await listen(async (request, reply) => {
    const chunks = []
    for await (const chunk of request) chunks.push(chunk)
    bodies.push(Buffer.concat(chunks).toString())
    const count = bodies.length
    reply.setHeader('content-type', 'application/json')
    const tokens = { access_token: `a${count}`, refresh_token: `r${count}`, token_type: 'Bearer', expires_in: 3600 }
    reply.end(JSON.stringify(tokens))
  })
  const client = new Client(serverAt(base), { clientId: 'app', clientSecret: 's3cret' })
  const sentParameters = () =>
    [...new URLSearchParams(bodies.at(-1))].filter(([name]) => !GRANT_PARAMETERS.includes(name))
  return { client, sentParameters, bodies }
}

test("each client credentials request sends the resources, audiences and extra parameters", async () => {
  const { client, sentParameters, bodies } = await start()
  const source = client.clientCredentials(args)
  const token = await source.token()
  assert.deepEqual(sentParameters(), SENT)
  source.invalidate(token)
  await source.token()
  assert.equal(bodies.length, 2)
  assert.deepEqual(sentParameters(), SENT)
})

test('a login and each renewal send the requested resources, audiences and extra parameters', async () => {
  const { client, sentParameters } = await start()
  const { extra: tokenExtra, ...where } = args
  const redirectUri = 'https://app.example/cb'
  const { url, flow } = client.authorize({ redirectUri, ...where, extra: { prompt: 'login' }, tokenExtra })
  assert.deepEqual(url.searchParams.getAll('resource'), [A, B])
  assert.deepEqual(url.searchParams.getAll('audience'), ['c'])
  assert.equal(url.searchParams.get('prompt'), 'login')
  assert(!url.searchParams.has('expiring') && !url.searchParams.has('tag'))
  const tokens = await client.redeem(flow, `${redirectUri}?code=c0de&state=${url.searchParams.get('state')}`)
  assert.deepEqual(sentParameters(), SENT)
  await client.refresh({ tokens, resource: [A], extra: { tag: 'z' } })
  assert.deepEqual(sentParameters(), [['resource', A], ['tag', 'z']])
  await client.password({ username: 'u', password: 'p', ...args })
  assert.deepEqual(sentParameters(), SENT)
  const source = client.source(tokens, args)
  source.invalidate(await source.token())
  await source.token()
  assert.deepEqual(sentParameters(), SENT)
})

test('resources, audiences and extra parameters identify a grant regardless of their order', async () => {
  const { client } = await start()
  const store = new MemoryStore()
  const token = async (more) => (await client.clientCredentials({ ...args, ...more, store }).token()).accessToken
  const first = await token({})
  assert.equal(await token({ resource: [B, A] }), first)
  assert.equal(await token({ extra: { tag: ['y', 'x'], expiring: '1' } }), first)
  for (const other of [{ resource: [A] }, { audience: [] }, { extra: {} }]) assert.notEqual(await token(other), first)
  const sessions = new Grants(client, store)
  assert.equal(sessions.get(undefined, args), sessions.get(undefined, { ...args, resource: [B, A] }))
  assert.notEqual(sessions.get(undefined, args), sessions.get(undefined, { ...args, audience: [] }))
  assert.equal((await sessions.get(undefined, args).token()).accessToken, first)
  const { grants } = await sessions.list()
  assert(grants.some(({ resource, audience }) => resource.join() === `${A},${B}` && audience.join() === 'c'))
  assert(grants.every((grant) => !('extra' in grant)), 'it may be secret')
  await sessions.logOut(undefined, args)
  assert.notEqual((await sessions.get(undefined, args).token()).accessToken, first)
})

test('an unused grant is renewed with the parameters of its original request', async () => {
  const { client, sentParameters, bodies } = await start()
  const store = new MemoryStore()
  const sessions = new Grants(client, store)
  await sessions.logIn('ann', await client.password({ username: 'u', password: 'p' }), args)
  const [key] = (await store.scan()).keys
  // As if no token had been requested for two days.
  const { version, record } = await store.load(key)
  const stored = JSON.parse(record)
  stored.tokens.received_at -= 2 * 24 * 3600
  await store.save(key, JSON.stringify(stored), version, new Date(Date.now() - 2 * 24 * 3600 * 1000))
  const outcome = await new Grants(client, store).renewIdle(24 * 3600 * 1000)
  assert.deepEqual(outcome, { renewed: 1, failed: [] })
  assert.equal(bodies.length, 2)
  assert.deepEqual(sentParameters(), SENT)
})

test('reserved parameters and invalid resources are rejected before anything is sent', async () => {
  const { client, bodies } = await start()
  const wrong = [
    [{ extra: { client_secret: 'x' } }, 'form.reserved_parameter'],
    [{ resource: ['no uri'] }, 'resource.syntax'],
    [{ resource: ['https://a.example/#part'] }, 'resource.syntax'],
  ]
  for (const [more, code] of wrong) {
    const error = await rejection((async () => client.clientCredentials(more).token())())
    assert.equal(error.code, code)
  }
  assert.throws(() => client.clientCredentials({ resource: A }), TypeError)
  assert.deepEqual(bodies, [])
})
