// A grant that a custom driver keeps fresh.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { followToCallback, core, listen, rejection, serverAt, twins } from './helper.mjs'
import { MemoryStore, expireStoredTokens } from './memory.mjs'

const { Client, DeniedError, Exchange, Keeper, LostError, MisuseError, Tokens, discover, keep, run } = core
const { generic: twin } = await twins()
const { clientId, clientSecret, redirectUris, issuer } = await twin.client()
const client = new Client(await discover(issuer, { transport: 'loopback_http' }), { clientId, clientSecret })

const NOW = 1_750_000_000
const moment = () => ({ now: NOW, seed: new Uint8Array(32).fill(7) })
const offline = new Client(serverAt('http://127.0.0.1:1'), { clientId: 'id', clientSecret: 's' })
const expiredTokens = () => Tokens.deserialize(JSON.stringify({
  version: 1,
  issuer: 'http://127.0.0.1:1',
  client_id: 'id',
  access_token: 'at-1',
  received_at: 0,
  expires_in: 60,
  scope: 'read',
  refresh_token: 'rt-1',
  refresh_scope: 'read',
}))
const body = Buffer.from('{"access_token":"at-2","token_type":"Bearer","expires_in":60,"refresh_token":"rt-2"}')
const reply = { status: 200, headers: [['content-type', 'application/json']], body }

test('a stored grant is renewed step by step', () => {
  const keeper = offline.keeper(expiredTokens(), { subject: 'ann', leaseMs: 9000, moment })
  assert.deepEqual([keeper.ask(), keeper.ask().kind], [{ kind: 'renew', tokens: undefined }, 'wait'])
  assert.equal(keeper.begin().kind, 'load')
  const login = keeper.loaded(undefined)
  assert.deepEqual([login.kind, login.version, keeper.isStored], ['save', 0, false])
  assert.match(login.record, /rt-1/)
  assert.equal(inspect(login, { depth: 9 }), "Task { kind: 'save', version: 0 }")

  // It is stored, and as stale as before.
  assert.equal(keeper.saved(1).kind, 'load')
  assert.equal(keeper.isStored, true)
  const lease = keeper.loaded({ version: 1, record: login.record })
  assert.deepEqual([lease.kind, lease.ms], ['lease', 9000])
  const wait = keeper.leased(3500)
  assert.ok(wait.kind === 'wait' && wait.ms > 0 && wait.ms <= 3500)
  assert.equal(keeper.elapsed().kind, 'load')
  assert.equal(keeper.loaded({ version: 1, record: login.record }).holder, lease.holder)
  assert.equal(keeper.leased().kind, 'load')
  const markSave = keeper.loaded({ version: 1, record: login.record })
  assert.deepEqual([markSave.kind, markSave.version], ['save', 1])
  const { kind, exchange } = keeper.saved(2)
  assert.ok(kind === 'run' && exchange instanceof Exchange)
  assert.match(Buffer.from(exchange.begin().body).toString(), /refresh_token=rt-1/)
  exchange.reply(reply)
  const completed = keeper.completed()
  assert.deepEqual([completed.kind, completed.version], ['save', 2])
  assert.match(completed.record, /at-2/)
  assert.equal(keeper.ask().kind, 'wait')
  const release = keeper.saved(3)
  assert.deepEqual([release.kind, release.ms], ['lease', 0])
  const finished = keeper.leased()
  assert.equal(finished.kind, 'over')
  assert.equal(finished.tokens.accessToken, 'at-2')
  assert.equal(finished.tokens.receivedAt.getTime(), NOW * 1000)
  const turn = keeper.ask()
  assert.equal(turn.kind, 'use_token')
  // The keeper returns one object for the same tokens.
  assert.ok(turn.tokens === finished.tokens && keeper.tokens === finished.tokens)
  assert.throws(() => keeper.elapsed(), { code: 'misuse.already_finished' })
})

test('an out-of-order call ends the renewal, and another can begin', () => {
  const keeper = offline.keeper(undefined, { subject: 'ann' })
  assert.throws(() => keeper.begin(), { code: 'misuse.already_finished' })
  keeper.ask()
  keeper.begin()
  assert.throws(() => keeper.elapsed(), { code: 'misuse.out_of_order' })
  assert.equal(keeper.ask().kind, 'renew')
  keeper.abandon()
  assert.equal(keeper.ask().kind, 'renew')
})

test('an error of a store is reported without its message', () => {
  const keeper = offline.keeper(undefined, { subject: 'ann' })
  keeper.ask()
  keeper.begin()
  assert.throws(() => keeper.failed(new Error('secret-of-the-store')), (error) => {
    assert.ok(error instanceof LostError)
    assert.equal(error.endpoint, 'store')
    return !inspect(error).includes('secret-of-the-store')
  })
  assert.deepEqual([keeper.lastError.code, keeper.lastError.endpoint], ['lost', 'store'])
})

test('a keeper requires a grant type or subject, which determine its key', () => {
  const keys = [
    offline.keeper(undefined, { subject: 'ann' }),
    offline.keeper(undefined, { subject: 'ben' }),
    offline.keeper(undefined, { subject: 'ann', scope: ['read'] }),
    offline.keeper(undefined, { grantType: 'client_credentials', scope: 'read' }),
  ].map(({ key }) => key)
  assert.equal(new Set(keys).size, 4)
  assert.equal(keys[0], offline.source(undefined, { store: new MemoryStore(), subject: 'ann' }).key)
  const inconsistent = { code: 'arguments.inconsistent' }
  const nameless = { code: 'grant.subject_missing' }
  assert.throws(() => offline.keeper(undefined, { grantType: 'password' }), inconsistent)
  assert.throws(() => offline.keeper(expiredTokens(), { grantType: 'client_credentials' }), inconsistent)
  assert.throws(() => offline.keeper(undefined, { subject: 'ann', reuse: 'perhaps' }), { code: 'argument.invalid' })
  // The client's own grant has no user.
  assert.throws(() => offline.keeper(undefined, { grantType: 'client_credentials', subject: 'ann' }), inconsistent)
  assert.throws(() => offline.clientCredentials({ subject: 'ann' }), inconsistent)
  // Two people without a name would share a record.
  assert.throws(() => offline.keeper(), nameless)
  assert.throws(() => offline.source({ store: new MemoryStore() }), nameless)
  assert.throws(() => new Keeper({}), TypeError)
})

test('a record that the store returns replaces an older one', () => {
  const keeper = offline.keeper(expiredTokens(), { subject: 'ann', moment })
  keeper.ask()
  keeper.begin()
  const { record } = keeper.loaded()
  const other = offline.keeper(undefined, { subject: 'ann', moment })
  assert.equal(other.tokens, undefined)
  other.learn({ version: 1, record })
  assert.equal(other.tokens.accessToken, 'at-1')
  assert.throws(() => other.learn({ version: 2, record: record.slice(0, 50) }), { code: 'stored.malformed' })
})

/** Stores a login whose tokens have expired. */
async function storeExpiredLogin(store) {
  const [redirectUri] = redirectUris
  const { url, flow } = client.authorize({ redirectUri, scope: 'read offline_access' })
  const tokens = await client.redeem(flow, await followToCallback(url, redirectUri))
  const keeper = client.keeper(tokens, { subject: 'ann' })
  assert.equal((await keep(keeper, { store })).accessToken, tokens.accessToken)
  for (const end = Date.now() + 10_000; !keeper.isStored && Date.now() < end;) await new Promise(setImmediate)
  await expireStoredTokens(store, keeper.key)
  return tokens
}

test('keepers and sources that share a store make one renewal', async () => {
  const store = new MemoryStore()
  const expired = await storeExpiredLogin(store)
  const before = await twin.counters()
  const received = []
  const keepers = Array.from({ length: 4 }, () => client.keeper(undefined, { subject: 'ann' }))
  const onTokens = (tokens) => received.push(tokens)
  const all = await Promise.all(Array.from({ length: 40 }, (_, n) => keep(keepers[n % 4], { store, onTokens })))
  const counters = await twin.counters()
  const accessTokens = new Set(all.map(({ accessToken }) => accessToken))
  assert.ok(accessTokens.size === 1 && !accessTokens.has(expired.accessToken))
  assert.ok(accessTokens.has((await client.source(undefined, { store, subject: 'ann' }).token()).accessToken))
  assert.equal(counters.token_requests - before.token_requests, 1)
  assert.equal(counters.reuse_events, before.reuse_events)
  assert.equal(received.length, 1)
})

test('a caller that aborts does not end the renewal of the others', async () => {
  const store = new MemoryStore()
  await storeExpiredLogin(store)
  const keeper = client.keeper(undefined, { subject: 'ann' })
  const requests = await twin.tokenRequests(async () => {
    const stop = new AbortController()
    const first = keep(keeper, { store, signal: stop.signal })
    stop.abort(new Error('gone'))
    assert.equal((await rejection(first)).message, 'gone')
    assert.ok(await keep(keeper, { store }))
  })
  assert.equal(requests, 1)
})

test('a keeper works without a store and with a custom fetch', async () => {
  const keeper = client.keeper(undefined, { grantType: 'client_credentials', scope: 'read', shared: false })
  let sent = 0
  const countingSend = (...request) => {
    sent += 1
    return fetch(...request)
  }
  const first = await keep(keeper, { fetch: countingSend })
  assert.deepEqual(first.scope, ['read'])
  assert.equal(await keep(keeper, { fetch: countingSend }), first)
  const second = await keep(keeper, { fetch: countingSend, refused: first })
  assert.notEqual(second.accessToken, first.accessToken)
  keeper.refuse(second)
  assert.notEqual((await keep(keeper, { fetch: countingSend })).accessToken, second.accessToken)
  assert.equal(sent, 3)

  const shared = client.keeper(undefined, { grantType: 'client_credentials' })
  await assert.rejects(keep(shared), TypeError)
  await assert.rejects(keep(shared, { store: {} }), TypeError)
  assert.equal(shared.ask().kind, 'renew')
  // While a caller renews step by step, keep() must not be used.
  await assert.rejects(keep(shared, { store: new MemoryStore() }), /a different driver/)
})

test('an onTokens hook that fails late does not affect the next renewal', async () => {
  const keeper = client.keeper(undefined, { grantType: 'client_credentials', shared: false })
  let notify
  const notified = new Promise((done) => { notify = done })
  let fail
  const one = keep(keeper, {
    onTokens(tokens) {
      notify(tokens)
      return new Promise((_, reject) => { fail = reject })
    },
  })
  keeper.refuse(await notified)
  let go
  const gate = new Promise((done) => { go = done })
  const two = keep(keeper, { fetch: (...request) => gate.then(() => fetch(...request)) })
  fail(new Error('hook'))
  assert.equal((await rejection(one)).message, 'hook')
  const three = keep(keeper)
  go()
  const fresh = await two
  assert.notEqual(fresh.accessToken, (await notified).accessToken)
  assert.equal(await three, fresh)
})

test('the manual loop of the README renews the tokens', async () => {
  const keeper = client.keeper(undefined, { grantType: 'client_credentials', shared: false })
  assert.equal(keeper.ask().kind, 'renew')
  const task = keeper.begin()
  assert.equal(task.kind, 'run')
  await run(task.exchange)
  const { kind, tokens } = keeper.completed()
  assert.equal(kind, 'over')
  assert.equal(keeper.ask().tokens, tokens)
})

test('a refused renewal is reported with its error code', async () => {
  const store = new MemoryStore()
  await client.refresh({ tokens: await storeExpiredLogin(store) })
  const error = await rejection(keep(client.keeper(undefined, { subject: 'ann' }), { store }))
  assert.ok(error instanceof DeniedError && !(error instanceof MisuseError))
  assert.equal(error.code, 'denied.invalid_grant')
})

test('a renewal records how long others must wait if it is lost: the lease, the longest request, and a margin', async () => {
  const base = await listen((request, reply) => {
    request.resume()
    const tokens = { access_token: crypto.randomUUID(), refresh_token: 'r', token_type: 'Bearer', expires_in: 3600 }
    reply.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(tokens))
  })
  const network = new core.Network({ timeoutMs: 90_000 })
  // The recorded seconds: a lease, the longest request, and 15 more.
  for (const [options, seconds] of [
    [{}, 55],
    [{ timeoutMs: 120_000 }, 145],
    [{ network }, 115],
    [{ network, timeoutMs: 5000 }, 30],
    [{ fetch: (...request) => fetch(...request), timeoutMs: 60_000 }, 85],
  ]) {
    const client = new core.Client(serverAt(base), { clientId: 'app', clientSecret: 's3cret', ...options })
    const [memory, windows] = [new core.MemoryStore(), []]
    const store = {
      load: (key) => memory.load(key),
      lease: (key, holder, ms) => memory.lease(key, holder, ms),
      save: (key, record, version) => {
        const { attempt } = JSON.parse(record)
        if (attempt) windows.push(attempt.window)
        return memory.save(key, record, version)
      },
    }
    const source = client.source(await client.password({ username: 'u', password: 'p' }), { store, subject: 'ann' })
    source.invalidate(await source.token())
    await source.token()
    assert.deepEqual(windows, [seconds])
  }
})

/** Tokens received six days ago, with these expirations of the grant and a valid access token. */
function tokensWithExpirations(members) {
  const stored = JSON.parse(expiredTokens().serialize())
  const received_at = NOW - 6 * 24 * 3600
  return Tokens.deserialize(JSON.stringify({ ...stored, received_at, expires_in: NOW - received_at + 3600, ...members }))
}

test('an idle grant is kept alive only if configured', () => {
  const tokens = tokensWithExpirations({ refresh_token_use_by: NOW + 3600 })
  assert.deepEqual(tokens.refreshTokenExpiresAt, new Date((NOW + 3600) * 1000))
  const idle = offline.keeper(tokens, { shared: false, moment })
  assert.deepEqual([idle.upkeepAfter, idle.upkeep()], [undefined, undefined])
  const keeper = offline.keeper(tokens, { shared: false, keepAliveMs: 24 * 3600 * 1000, moment })
  assert.deepEqual([keeper.upkeepAfter, keeper.upkeep()], [0, 'renew'])
  const task = keeper.begin()
  assert.equal(task.kind, 'run')
  assert.match(String(Buffer.from(task.exchange.begin().body)), /refresh_token=rt-1/)
})

test('the approaching expiration of an authorization is reported once', () => {
  const tokens = tokensWithExpirations({ authorization_until: NOW + 24 * 3600 })
  const later = offline.keeper(tokens, { shared: false, noticeMs: 3_600_000, moment })
  assert.deepEqual([later.upkeepAfter, later.upkeep()], [23 * 3_600_000, undefined])
  const keeper = offline.keeper(tokens, { shared: false, moment })
  assert.deepEqual(keeper.upkeep(), tokens.authorizationExpiresAt)
  assert.deepEqual([keeper.upkeepAfter, keeper.upkeep()], [undefined, undefined])
})
