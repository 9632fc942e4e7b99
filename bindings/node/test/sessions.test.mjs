// Many grants of one client over one store, and what happens to grants.
import assert from 'node:assert/strict'
import diagnostics from 'node:diagnostics_channel'
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, test } from 'node:test'
import { inspect } from 'node:util'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { core, twins } from './helper.mjs'

const { Client, MemoryStore, Grants, SqliteStore, discover, drain } = core
const { generic: twin } = await twins()
const { clientId, clientSecret, redirectUris: [redirectUri] } = await twin.client()
const server = await discover(twin.base, { transport: 'loopback_http' })
const client = new Client(server, { clientId, clientSecret })
const folder = mkdtempSync(path.join(tmpdir(), 'oauth-core-'))
const DAY = 24 * 3600 * 1000

async function aLogin() {
  const { url, flow } = client.authorize({ redirectUri, scope: 'read offline_access' })
  const reply = await fetch(url, { redirect: 'manual' })
  return client.redeem(flow, reply.headers.get('location'))
}

/** As if no token had been requested for two days. */
async function age(store, key) {
  const { version, record } = await store.load(key)
  const stored = JSON.parse(record)
  stored.tokens.received_at -= 2 * DAY / 1000
  const due = new Date((stored.tokens.received_at + stored.tokens.expires_in) * 1000)
  assert.ok(await store.save(key, JSON.stringify(stored), version, due))
}

const counted = async (what, act) => {
  const before = (await twin.counters())[what]
  await act()
  return (await twin.counters())[what] - before
}

test('each user has a separate grant, and concurrent callers share one renewal', async () => {
  const store = new SqliteStore(path.join(folder, 'grants.db'))
  const sessions = new Grants(client, store)
  const logins = { ann: await aLogin(), ben: await aLogin() }
  for (const [name, tokens] of Object.entries(logins)) await sessions.logIn(name, tokens)
  for (const [name, tokens] of Object.entries(logins)) {
    assert.equal((await sessions.get(name).token()).accessToken, tokens.accessToken)
    assert.equal(sessions.get(name), sessions.get(name))
  }
  const clientTokens = await sessions.get(undefined, { scope: 'read' }).token()
  assert.ok(!Object.values(logins).some(({ accessToken }) => accessToken === clientTokens.accessToken))
  const elsewhere = new Grants(client, new SqliteStore(path.join(folder, 'grants.db')))
  const refreshes = await counted('refreshes', async () => {
    const renewed = await Promise.all(Array.from({ length: 50 }, () => elsewhere.get('ann').renew(logins.ann)))
    assert.equal(new Set(renewed.map(({ accessToken }) => accessToken)).size, 1)
  })
  assert.equal(refreshes, 1)
})

test('a logout revokes and removes the grant', async () => {
  const sessions = new Grants(client, new MemoryStore())
  for (const name of ['ann', 'ben']) await sessions.logIn(name, await aLogin())
  assert.equal(await counted('revocations', () => sessions.logOut('ann')), 1)
  await assert.rejects(sessions.get('ann').token(), { advice: 'reauthorize' })
  assert.ok(await sessions.get('ben').token())
  const { grants, unreadable, next } = await sessions.list()
  assert.deepEqual([grants.map(({ subject }) => subject), unreadable, next], [['ben'], [], undefined])
  // Who was never there can be logged out, and who was logged out can log in.
  await sessions.logOut('nobody')
  const again = await aLogin()
  await sessions.logIn('ann', again)
  assert.equal((await sessions.get('ann').token()).accessToken, again.accessToken)
})

test('a logout waits for the lease of another worker', async () => {
  const store = new MemoryStore()
  const sessions = new Grants(client, store)
  await sessions.logIn('ann', await aLogin())
  const { key } = sessions.get('ann')
  assert.equal(await store.lease(key, 'another', 60_000), undefined)
  let isFree = false
  const free = new Promise((wake) => setTimeout(wake, 100)).then(() => {
    isFree = true
    return store.lease(key, 'another', 0)
  })
  await sessions.logOut('ann')
  assert.ok(isFree)
  await free
})

test('renewals are spaced out according to perSecond', async (t) => {
  const sessions = new Grants(client, new MemoryStore(), { perSecond: 1 })
  const logins = [await aLogin(), await aLogin(), await aLogin()]
  for (const [number, tokens] of logins.entries()) await sessions.logIn(`person-${number}`, tokens)
  // Timers are shortened: only the requested delays are checked.
  const requests = []
  const { setTimeout } = globalThis
  t.mock.method(globalThis, 'setTimeout', (wake, ms, ...more) => {
    if (ms > 500 && ms <= 2000) requests.push(ms)
    return setTimeout(wake, ms <= 2000 ? 0 : ms, ...more)
  })
  await Promise.all(logins.map((tokens, number) => sessions.get(`person-${number}`).renew(tokens)))
  const [one, two] = requests.sort((a, b) => a - b)
  assert.ok(one > 900 && two > 1900, `${requests}`)
})

test('at most atOnce renewals run concurrently', async () => {
  // A store that tells how many hold a lease.
  class Counting extends MemoryStore {
    held = new Map()
    most = 0
    async lease(key, holder, ms) {
      const heldFor = await super.lease(key, holder, ms)
      if (!(heldFor > 0)) {
        if (ms > 0) this.held.set(key, holder)
        else this.held.delete(key)
        this.most = Math.max(this.most, this.held.size)
      }
      return heldFor
    }
  }
  for (const [atOnce, most] of [[2, 2], [0, 6]]) {
    const store = new Counting()
    const sessions = new Grants(client, store, { atOnce })
    const logins = []
    for (let number = 0; number < 6; number += 1) logins.push(await aLogin())
    for (const [number, tokens] of logins.entries()) await sessions.logIn(`person-${number}`, tokens)
    const renewed = await Promise.all(logins.map((tokens, number) => sessions.get(`person-${number}`).renew(tokens)))
    assert.equal(new Set(renewed.map((tokens) => tokens.accessToken)).size, 6)
    assert.equal(store.most, most)
  }
})

test('waiting for another worker does not block other renewals', async () => {
  const store = new MemoryStore()
  const sessions = new Grants(client, store, { atOnce: 1 })
  const logins = [await aLogin(), await aLogin()]
  for (const [number, tokens] of logins.entries()) await sessions.logIn(`person-${number}`, tokens)
  const { key } = sessions.get('person-0')
  await store.lease(key, 'another', 60_000)
  const waiting = sessions.get('person-0').renew(logins[0])
  await sessions.get('person-1').renew(logins[1])
  await store.lease(key, 'another', 0)
  await waiting
})

test('a logout whose revocation fails reports it and removes the record', async () => {
  const sessions = new Grants(client, new MemoryStore())
  await sessions.logIn('ann', await aLogin())
  await twin.fault('status', { status: 500 })
  await assert.rejects(sessions.logOut('ann'), { name: 'DeniedError' })
  assert.deepEqual((await sessions.list()).grants, [])
})

test('a list contains no secrets, and names unreadable records', async () => {
  const store = new MemoryStore()
  const sessions = new Grants(client, store)
  const tokens = await aLogin()
  await sessions.logIn('ann', tokens)
  await store.save('garbled', 'S3CR3T', 0)
  const { grants: [grant], unreadable } = await sessions.list()
  assert.ok(grant.expiresAt instanceof Date && grant.hasRefreshToken && !grant.ended)
  assert.deepEqual(unreadable, [{ key: 'garbled', code: 'stored.malformed' }])
  assert.ok(!inspect(grant).includes(tokens.accessToken))
})

test('renewIdle renews unused grants', async () => {
  const store = new MemoryStore()
  const before = new Grants(client, store)
  for (const name of ['ann', 'ben', 'cem']) await before.logIn(name, await aLogin())
  for (const name of ['ann', 'ben']) await age(store, before.get(name).key)
  const received = []
  const sessions = new Grants(client, store, { onRenewed: (subject, tokens) => { received.push([subject, typeof tokens.accessToken]) } })
  const refreshes = await counted('refreshes', async () => {
    assert.deepEqual(await sessions.renewIdle(DAY), { renewed: 2, failed: [] })
  })
  assert.equal(refreshes, 2)
  assert.deepEqual(received.sort(), [['ann', 'string'], ['ben', 'string']])
  assert.equal(sessions.counters.renewed, 2)
  assert.deepEqual(await sessions.renewIdle(DAY), { renewed: 0, failed: [] })
})

test('the end of a grant is reported once, and to diagnostics subscribers', async () => {
  const events = []
  const recordEvent = ({ grant, what, error }) => events.push([grant, what, error?.code])
  diagnostics.subscribe('oauth-core:grant', recordEvent)
  after(() => diagnostics.unsubscribe('oauth-core:grant', recordEvent))
  const ended = []
  const sessions = new Grants(client, new MemoryStore(), { onEnded: (subject, error) => ended.push([subject, error.code]) })
  const tokens = await aLogin()
  await sessions.logIn('ann', tokens)
  await client.revoke({ token: tokens.refreshToken, tokenTypeHint: 'refresh_token' })
  for (let times = 0; times < 2; times += 1) {
    await assert.rejects(sessions.get('ann').renew(tokens), { code: 'denied.invalid_grant' })
  }
  // A user who was never logged in has no ended grant.
  await assert.rejects(sessions.get('nobody').token(), { advice: 'reauthorize' })
  assert.deepEqual(ended, [['ann', 'denied.invalid_grant']])
  assert.equal(sessions.counters.ended, 1)
  assert.deepEqual(events.filter(([, what]) => what === 'ended'), [[sessions.get('ann').key, 'ended', 'denied.invalid_grant']])
  const { grants: [grant] } = await sessions.list()
  assert.equal(grant.ended, 'denied.invalid_grant')
})

test('the number of grants in memory is bounded by the capacity', async () => {
  const sessions = new Grants(client, new MemoryStore(), { capacity: 10 })
  const tokens = await aLogin()
  for (let number = 0; number < 100; number += 1) await sessions.logIn(`person-${number}`, tokens)
  assert.ok(sessions.inMemory <= 10, `${sessions.inMemory}`)
  assert.equal((await sessions.get('person-0').token()).accessToken, tokens.accessToken)
})

test('renewed tokens that could not be stored stay in memory and are stored later', async () => {
  const memory = new MemoryStore()
  let isDown = false
  const store = {
    load: (key) => memory.load(key),
    lease: (...args) => memory.lease(...args),
    save: async (...args) => {
      if (isDown && args[1].includes('"attempt":null')) throw new Error('down')
      return memory.save(...args)
    },
  }
  const sessions = new Grants(client, store, { capacity: 1 })
  const first = await aLogin()
  await sessions.logIn('ann', first)
  isDown = true
  const renewed = await sessions.get('ann').renew(first)
  assert.equal(sessions.counters.unsaved, 1)
  for (let number = 0; number < 5; number += 1) sessions.get(`person-${number}`)
  // Objects without a reference are collected here.
  setFlagsFromString('--expose-gc')
  await new Promise(setImmediate)
  runInNewContext('gc')()
  assert.equal((await sessions.get('ann').token()).accessToken, renewed.accessToken)
  isDown = false
  while (sessions.counters.stored_late === 0) await new Promise((wake) => setTimeout(wake, 50))
  const { record } = await memory.load(sessions.get('ann').key)
  assert.ok(record.includes(renewed.accessToken))
})

test('drain waits for renewals in progress, and later ones are rejected', async () => {
  const store = new MemoryStore()
  const sessions = new Grants(client, store)
  const tokens = await aLogin()
  await sessions.logIn('ann', tokens)
  await twin.fault('slow_body', { millis_per_byte: 1 })
  const { refreshes } = await twin.counters()
  const renewing = sessions.get('ann').renew(tokens)
  while ((await twin.counters()).refreshes === refreshes) await new Promise((wake) => setTimeout(wake, 5))
  await drain()
  const { accessToken } = await renewing
  assert.ok((await store.load(sessions.get('ann').key)).record.includes(accessToken))
  await assert.rejects(sessions.get('ann').renew(await renewing), { code: 'token_source.closed' })
  // All others go on.
  await sessions.logIn('ben', tokens)
  await sessions.drain()
  const source = client.source(await aLogin())
  await source.drain({ timeoutMs: 1000 })
  await assert.rejects(source.renew(await source.token()), { code: 'token_source.closed' })
})

test('leaving the block completes and stores requests under way', async () => {
  const dispose = Symbol.asyncDispose ?? Symbol.for('Symbol.asyncDispose')
  const store = new MemoryStore()
  const tokens = await aLogin()
  const source = client.source(undefined, { store, subject: 'ann' })
  await source.logIn(tokens)
  await twin.fault('slow_body', { millis_per_byte: 1 })
  const { refreshes } = await twin.counters()
  const renewing = source.renew(tokens)
  while ((await twin.counters()).refreshes === refreshes) await new Promise((wake) => setTimeout(wake, 5))
  await source[dispose]()
  const { record } = await store.load(source.key)
  const renewed = await renewing
  assert.ok(record.includes(renewed.accessToken))
  assert.equal((await source.token()).accessToken, renewed.accessToken)
  await assert.rejects(source.renew(renewed), { code: 'token_source.closed', advice: 'give_up' })
  await source.close()
})

test('closing a source of Grants does not end it, closing the Grants does', async () => {
  const dispose = Symbol.asyncDispose ?? Symbol.for('Symbol.asyncDispose')
  const sessions = new Grants(client, new MemoryStore())
  const tokens = await aLogin()
  await sessions.logIn('ann', tokens)
  const source = sessions.get('ann')
  await source.close()
  await source[dispose]()
  const renewed = await sessions.get('ann').renew(tokens)
  assert.notEqual(renewed.accessToken, tokens.accessToken)
  await sessions[dispose]()
  await sessions.close()
  await assert.rejects(source.renew(renewed), { code: 'token_source.closed', advice: 'give_up' })
})

test('a lease is extended during a slow request', async () => {
  const memory = new MemoryStore()
  const leases = []
  const store = {
    load: (key) => memory.load(key),
    save: (...args) => memory.save(...args),
    lease: (key, holder, ms) => {
      leases.push(ms)
      return memory.lease(key, holder, ms)
    },
  }
  const tokens = await aLogin()
  const source = client.source(tokens, { store, subject: 'ann', leaseMs: 300 })
  await source.logIn(tokens)
  await twin.fault('slow_body', { millis_per_byte: 2 })
  await source.renew(tokens)
  // Taken, extended a few times, given back.
  assert.ok(leases.filter((ms) => ms === 300).length >= 3, `${leases}`)
  assert.equal(leases.at(-1), 0)
})

test('listing with a custom store that does not support it is reported', async () => {
  const store = { load: () => undefined, save: (key, record, version) => version + 1, lease: () => undefined }
  const sessions = new Grants(client, store)
  for (const call of [() => sessions.list(), () => sessions.renewIdle(1000)]) {
    await assert.rejects(call(), { name: 'MisuseError', code: 'misuse.not_supported' })
  }
  for (const options of [{ capacity: -1 }, { perSecond: 0.5 }, { atOnce: -1 }, { onEnded: 'hook' }]) {
    assert.throws(() => new Grants(client, store, options), TypeError)
  }
  assert.throws(() => new Grants(client), TypeError)
})

/** Changes a stored grant as if it had been received six days ago with these expiration times. */
async function storeExpirations(store, key, members) {
  const { version, record } = await store.load(key)
  const stored = JSON.parse(record)
  stored.tokens.received_at -= 6 * DAY / 1000
  stored.tokens.expires_in += 6 * DAY / 1000
  Object.assign(stored.tokens, members)
  assert.ok(await store.save(key, JSON.stringify(stored), version, new Date(stored.tokens.received_at * 1000)))
}

const inSeconds = (ms) => Math.floor((Date.now() + ms) / 1000)

test('a grant is renewed before its refresh token expires if keepAliveMs is set', async () => {
  const store = new MemoryStore()
  const before = new Grants(client, store)
  for (const name of ['ann', 'ben']) await before.logIn(name, await aLogin())
  await storeExpirations(store, before.get('ann').key, { refresh_token_use_by: inSeconds(3_600_000) })
  await storeExpirations(store, before.get('ben').key, { refresh_token_use_by: inSeconds(20 * DAY) })
  const refreshes = await counted('refreshes', async () => {
    assert.deepEqual(await before.renewIdle(30 * DAY), { renewed: 0, failed: [] })
    const sessions = new Grants(client, store, { keepAliveMs: DAY })
    assert.deepEqual(await sessions.renewIdle(30 * DAY), { renewed: 1, failed: [] })
  })
  assert.equal(refreshes, 1)
  const { grants } = await before.list()
  const ends = Object.fromEntries(grants.map(({ subject, refreshTokenExpiresAt }) => [subject, refreshTokenExpiresAt]))
  assert.equal(ends.ann, undefined)
  assert.ok(ends.ben instanceof Date)
})

test('a source renews its grant before the refresh token expires, with or without a store', async () => {
  for (const options of [{}, { store: new MemoryStore(), subject: 'ann' }]) {
    const stored = JSON.parse((await aLogin()).serialize())
    stored.received_at -= 6 * DAY / 1000
    stored.expires_in += 6 * DAY / 1000
    stored.refresh_token_use_by = inSeconds(3_600_000)
    const source = client.source(core.Tokens.deserialize(JSON.stringify(stored)), { ...options, keepAliveMs: DAY })
    const refreshes = await counted('refreshes', async () => {
      const { accessToken } = await source.token()
      const start = Date.now()
      while ((await source.token()).accessToken === accessToken) {
        assert.ok(Date.now() - start < 10_000, 'nothing was renewed')
        await new Promise((wake) => setTimeout(wake, 20))
      }
    })
    assert.equal(refreshes, 1)
  }
})

test('the approaching expiration of an authorization is reported once', async () => {
  const store = new MemoryStore()
  const before = new Grants(client, store)
  await before.logIn('ann', await aLogin())
  const end = inSeconds(DAY)
  await storeExpirations(store, before.get('ann').key, { authorization_until: end })
  const received = []
  const sessions = new Grants(client, store, { onAuthorizationEnds: (subject, end) => received.push([subject, end]) })
  const source = sessions.get('ann')
  await source.token()
  while (received.length === 0) await new Promise((wake) => setTimeout(wake, 20))
  await source.token()
  assert.deepEqual(received, [['ann', new Date(end * 1000)]])
  assert.equal(sessions.counters.authorization_ends, 1)
})
