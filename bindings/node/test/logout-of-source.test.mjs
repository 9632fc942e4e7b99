// Logouts of one source, with a store and without one.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { core, rejection, twins } from './helper.mjs'

const { Client, Grants, MemoryStore, Server, Tokens, discover } = core
const issuer = 'https://as.example'
const LOGGED_OUT = { code: 'grant.no_refresh_token', advice: 'reauthorize' }

/** The tokens of a login, issued this many seconds ago. */
const login = (name, { age = 0, stepUp } = {}) => Tokens.deserialize(JSON.stringify({
  version: 1, issuer, client_id: 'app', received_at: Math.floor(Date.now() / 1000) - age, access_token: `at-${name}`, expires_in: 600,
  scope: 'read', refresh_token: `rt-${name}`, refresh_scope: null, id_token: null, answered: stepUp && { step_up: stepUp, at: 1 },
}))

/** A client of a server that rotates refresh tokens and records revocations. */
function createClient({ revocation = true } = {}) {
  const seen = { revoked: [], refreshed: [], isDown: false, gate: undefined }
  const send = async ({ url, body }) => {
    const form = new URLSearchParams(Buffer.from(body).toString())
    const headers = [['content-type', 'application/json']]
    if (url.endsWith('/revoke')) {
      if (seen.isDown) throw Object.assign(new Error('no way'), { code: 'ECONNREFUSED' })
      seen.revoked.push(form.get('token'))
      return { status: 200, headers, body: '' }
    }
    seen.refreshed.push(form.get('refresh_token'))
    await seen.gate
    const number = seen.refreshed.length
    return { status: 200, headers, body: JSON.stringify({ access_token: `new-${number}`, token_type: 'Bearer', expires_in: 600, refresh_token: `next-${number}` }) }
  }
  const metadata = { issuer, token_endpoint: `${issuer}/token`, ...(revocation && { revocation_endpoint: `${issuer}/revoke` }) }
  return { seen, client: new Client(Server.fromMetadata(issuer, metadata), { clientId: 'app', clientSecret: 'secret', send }) }
}

const keysOf = async (store) => (await store.scan()).keys

test('a logout of a source revokes, removes the record, and is noticed by other workers', async () => {
  const { seen, client } = createClient()
  const store = new MemoryStore()
  const [here, elsewhere] = [1, 2].map(() => client.source({ store, subject: 'ann' }))
  await here.logIn(login('ann'))
  const token = await elsewhere.token()
  await here.logOut()
  assert.deepEqual([seen.revoked, await keysOf(store)], [['rt-ann'], []])
  await assert.rejects(here.token(), LOGGED_OUT)
  // The other worker considers its token valid until an API refuses it.
  await assert.rejects(elsewhere.renew(token), LOGGED_OUT)
  assert.deepEqual(seen.refreshed, [])
  await elsewhere.logIn(login('again'))
  assert.equal((await elsewhere.token()).accessToken, 'at-again')
  // A logout of a user who is not logged in succeeds.
  await client.source({ store, subject: 'ben' }).logOut()
})

test('a logout of a source without a store revokes and forgets', async () => {
  for (const revocation of [true, false]) {
    const { seen, client } = createClient({ revocation })
    const source = client.source(login('ann'))
    await source.token()
    await source.logOut()
    await source.logOut()
    assert.deepEqual(seen.revoked, revocation ? ['rt-ann'] : [])
    await assert.rejects(source.token(), LOGGED_OUT)
    assert.deepEqual(seen.refreshed, [])
    await source.logIn(login('again'))
    assert.equal((await source.token()).accessToken, 'at-again')
  }
})

test('a logout of a source whose revocation fails says so, and logs out anyway', async () => {
  const { seen, client } = createClient()
  const store = new MemoryStore()
  const stored = client.source({ store, subject: 'ann' })
  await stored.logIn(login('ann'))
  seen.isDown = true
  for (const source of [stored, client.source(login('ann'))]) {
    assert.equal((await rejection(source.logOut())).code, 'lost.connect')
    await assert.rejects(source.token(), LOGGED_OUT)
  }
  assert.deepEqual(await keysOf(store), [])
})

for (const isStored of [true, false]) {
  test(`a logout of a source ${isStored ? 'with' : 'without'} a store waits for a renewal under way`, async () => {
    const { seen, client } = createClient()
    const store = new MemoryStore()
    let open
    seen.gate = new Promise((resolve) => { open = resolve })
    const events = []
    const onTokens = async ({ accessToken }) => {
      await new Promise(setImmediate)
      events.push(accessToken)
    }
    const expiredLogin = login('ann', { age: 3600 })
    const source = isStored
      ? client.source({ store, subject: 'ann', onTokens })
      : client.source(expiredLogin, { onTokens })
    if (isStored) {
      const before = client.source({ store, subject: 'ann' })
      await before.logIn(login('ann'))
      const { version, record } = await store.load(before.key)
      const stored = JSON.parse(record)
      stored.tokens.received_at -= 3600
      await store.save(before.key, JSON.stringify(stored), version)
    }
    const renewing = source.token()
    while (seen.refreshed.length === 0) await new Promise(setImmediate)
    const logout = source.logOut().then(() => events.push('logged out'))
    await new Promise((resolve) => setTimeout(resolve, 50))
    assert.deepEqual([seen.revoked, events], [[], []])
    open()
    assert.equal((await renewing).accessToken, 'new-1')
    await logout
    // The new refresh token of the renewal was revoked.
    assert.deepEqual([seen.revoked, seen.refreshed], [['next-1'], ['rt-ann']])
    assert.deepEqual(events, ['new-1', 'logged out'])
    await assert.rejects(source.token(), LOGGED_OUT)
    assert.deepEqual([seen.refreshed, await keysOf(store)], [['rt-ann'], []])
  })
}

test('a logout of a source ends a login that is not stored yet, even if the store is down', async () => {
  for (const isDownAtLogout of [false, true]) {
    const { seen, client } = createClient()
    const memory = new MemoryStore()
    let isDown = true
    const failWhenDown = (verb) => async (...args) => {
      if (isDown) throw new Error('down')
      return memory[verb](...args)
    }
    const store = Object.fromEntries(['load', 'save', 'lease', 'remove'].map((verb) => [verb, failWhenDown(verb)]))
    const source = client.source({ store, subject: 'ann' })
    await assert.rejects(source.logIn(login('late')), { endpoint: 'store' })
    isDown = isDownAtLogout
    const logout = source.logOut()
    await (isDownAtLogout ? assert.rejects(logout, { message: /down/ }) : logout)
    isDown = false
    await assert.rejects(source.token(), LOGGED_OUT)
    assert.deepEqual([seen.revoked, await keysOf(memory)], [['rt-late'], []])
  }
})

test('a source of a pool logs out as the pool does', async () => {
  const { seen, client } = createClient()
  const store = new MemoryStore()
  const grants = new Grants(client, store)
  const [phr, mfa] = [{ acr_values: ['phr'] }, { acr_values: ['mfa'] }]
  await grants.logIn('ann', login('ann'))
  for (const stepUp of [phr, mfa]) await grants.logIn('ann', login(stepUp.acr_values[0], { stepUp }))
  // A logout of a step-up ends only that grant.
  await grants.get('ann', { stepUp: phr }).logOut()
  assert.deepEqual(seen.revoked, ['rt-phr'])
  await grants.get('ann').token()
  await grants.get('ann').logOut()
  assert.deepEqual([seen.revoked.toSorted(), await keysOf(store)], [['rt-ann', 'rt-mfa', 'rt-phr'], []])
})

test('a source of the client requests a new token after its logout', async () => {
  const { seen, client } = createClient()
  const source = client.clientCredentials()
  const before = await source.token()
  await source.logOut()
  assert.equal(seen.revoked.length, 1)
  assert.notEqual((await source.token()).accessToken, before.accessToken)
})

test('a logout of a source over the native transport', async () => {
  const { generic: twin } = await twins()
  const { clientId, clientSecret, redirectUris: [redirectUri] } = await twin.client()
  const client = new Client(await discover(twin.base, { transport: 'loopback_http' }), { clientId, clientSecret })
  const { url, flow } = client.authorize({ redirectUri, scope: 'read offline_access' })
  const reply = await fetch(url, { redirect: 'manual' })
  const source = client.source(await client.redeem(flow, reply.headers.get('location')))
  const { revocations } = await twin.counters()
  await source.token()
  await source.logOut()
  assert.equal((await twin.counters()).revocations, revocations + 1)
  await assert.rejects(source.token(), LOGGED_OUT)
})
