// Built-in stores, shared by real threads and processes.
import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import cluster from 'node:cluster'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, test } from 'node:test'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { inspect } from 'node:util'
import { Worker } from 'node:worker_threads'
import { followToCallback, core, freePort, listen, rejection, twins } from './helper.mjs'
import { expireStoredTokens } from './memory.mjs'
import { storeAt } from './places.mjs'
import { PASSWORD, postgresServer, redisServer } from './servers.mjs'

const { Client, FileStore, LostError, MemoryStore, MisuseError, PostgresStore, RedisStore, SealedStore, Server, SqliteStore } = core
const WORKERS = 6
const program = fileURLToPath(new URL('worker.mjs', import.meta.url))
const { generic: twin } = await twins()
const { clientId, clientSecret, redirectUris, issuer } = await twin.client()

const folder = mkdtempSync(path.join(tmpdir(), 'oauth-core-'))
after(() => rmSync(folder, { recursive: true, force: true }))
const redis = await redisServer()
const newDatabase = await postgresServer()

let places = 0
/** Describes to a worker where a store is. */
const newPlace = {
  FileStore: () => ({ path: path.join(folder, `grants-${(places += 1)}`) }),
  SqliteStore: () => ({ path: path.join(folder, `grants-${(places += 1)}.db`) }),
  SealedStore: () => ({ ...newPlace.FileStore(), key: randomBytes(32).toString('base64url') }),
  RedisStore: () => ({ url: `${redis}/${(places += 1) % 16}` }),
  async PostgresStore() {
    const url = newDatabase()
    await new PostgresStore(url).migrate()
    return { url }
  },
}

function createClient({ metadata }) {
  return new Client(Server.fromMetadata(metadata.issuer, metadata, { transport: 'loopback_http' }), { clientId, clientSecret })
}

function storeConfig(place, tokenEndpoint = `${twin.base}/token`) {
  const metadata = { issuer, authorization_endpoint: `${twin.base}/authorize`, token_endpoint: tokenEndpoint }
  return { metadata, clientId, clientSecret, place, leaseMs: 2000 }
}

async function signIn(client) {
  const [redirectUri] = redirectUris
  const { url, flow } = client.authorize({ redirectUri, scope: 'read offline_access' })
  return client.redeem(flow, await followToCallback(url, redirectUri))
}

/** An old login: the stored tokens have expired. */
async function storeExpiredLogin(config) {
  const store = storeAt(config.place)
  const client = createClient(config)
  const source = client.source(undefined, { store, subject: 'ann' })
  await source.logIn(await signIn(client))
  await expireStoredTokens(store, source.key)
}

const starts = {
  worker_threads: (config) => new Worker(program, { workerData: config }),
  child_process: (config) => fork(program, [JSON.stringify(config)]),
  cluster(config) {
    cluster.setupPrimary({ exec: program, args: [JSON.stringify(config)] })
    return cluster.fork()
  },
}

const send = (worker, message) => (worker.postMessage ?? worker.send).call(worker, message)

/** Starts the workers and lets them begin at once; returns a promise for each, of its tokens and its exit. */
async function startWorkers(start, config) {
  const all = Array.from({ length: WORKERS }, () => start(config))
  const ends = all.map(async (worker) => {
    const messages = []
    worker.on('message', (message) => messages.push(message))
    // The last message of a process may arrive after its exit.
    const disconnected = worker.postMessage ? undefined : once(worker, 'disconnect')
    const [code, signal] = await once(worker, 'exit')
    await disconnected
    return { pid: worker.pid, code, signal, tokens: messages.flatMap(({ tokens = [] }) => tokens) }
  })
  await Promise.all(all.map((worker) => once(worker, 'message')))
  for (const worker of all) send(worker, 'go')
  return ends
}

for (const kind of Object.keys(newPlace)) {
  for (const [workerKind, start] of Object.entries(starts)) {
    test(`workers with twenty callers each use the refresh token once: ${workerKind}, ${kind}`, async () => {
      const config = storeConfig(await newPlace[kind]())
      await storeExpiredLogin(config)
      const before = await twin.counters()
      const ended = await Promise.all(await startWorkers(start, config))
      const counters = await twin.counters()
      assert.deepEqual(ended.map(({ code }) => code), Array(WORKERS).fill(0))
      assert.ok(ended.every(({ tokens }) => tokens.length === 1))
      assert.equal(new Set(ended.flatMap(({ tokens }) => tokens)).size, 1)
      assert.equal(counters.token_requests - before.token_requests, 1)
      assert.equal(counters.reuse_events, before.reuse_events)
    })
  }

  test(`load, save, lease and remove called directly: ${kind}`, async () => {
    const place = await newPlace[kind]()
    const [one, two] = [storeAt(place), storeAt(place)]
    assert.equal(await one.load('k'), undefined)
    const first = await one.save('k', 'first', 0)
    assert.ok(first > 0)
    assert.equal(await two.save('k', 'lost', 0), undefined)
    const second = await two.save('k', 'second', first)
    assert.ok(second > first)
    assert.deepEqual(await one.load('k'), { version: second, record: 'second' })
    assert.equal(await one.lease('k', 'ann', 30_000), undefined)
    const remainingMs = await two.lease('k', 'ben', 30_000)
    assert.ok(remainingMs > 0 && remainingMs <= 30_000)
    assert.equal(await one.lease('k', 'ann', 0), undefined)
    assert.equal(await two.lease('k', 'ben', 30_000), undefined)
    assert.deepEqual([await one.remove('k'), await one.remove('k')], [true, false])
    // A removal leaves an empty record, which other workers see.
    const { version, record } = await two.load('k')
    assert.ok(version > second && record === '')
    await assert.rejects(one.load(7), TypeError)
  })
}

/** One of six workers is killed while its refresh is on the way, and the others go on. */
async function killHolder(kind) {
  let holder
  let held
  const isHeld = new Promise((done) => { held = done })
  // Delays one refresh, and forwards all other requests.
  const delayingProxy = await listen(async (request, response) => {
    const chunks = await request.toArray()
    const body = Buffer.concat(chunks)
    if (holder === undefined && body.includes('grant_type=refresh_token')) {
      holder = Number(request.headers['x-worker'])
      return held()
    }
    const { authorization, 'content-type': type } = request.headers
    const reply = await fetch(twin.base + request.url, { method: 'POST', headers: { authorization, 'content-type': type }, body })
    response.writeHead(reply.status, { 'content-type': 'application/json' }).end(await reply.text())
  })
  const config = storeConfig(await newPlace[kind](), `${delayingProxy}/token`)
  await storeExpiredLogin(config)
  const ends = await startWorkers(starts.child_process, config)
  await isHeld
  process.kill(holder, 'SIGKILL')
  const ended = await Promise.all(ends)
  const [killed, ...more] = ended.filter(({ pid }) => pid === holder)
  const others = ended.filter(({ pid }) => pid !== holder)
  assert.deepEqual([killed.signal, killed.tokens, more], ['SIGKILL', [], []])
  assert.deepEqual(others.map(({ code }) => code), Array(WORKERS - 1).fill(0))
  assert.ok(others.every(({ tokens }) => tokens.length === 1))
  assert.equal(new Set(others.flatMap(({ tokens }) => tokens)).size, 1)
}

// All at once, since the others wait until the lease of the killed worker expires.
test('a worker is killed during a refresh', { concurrency: true }, async (t) => {
  const before = await twin.counters()
  const kinds = Object.keys(newPlace)
  await Promise.all(kinds.map((kind) => t.test(`a killed worker does not block the others beyond its lease: ${kind}`, () => killHolder(kind))))
  const counters = await twin.counters()
  // A login and one refresh of each.
  assert.equal(counters.token_requests - before.token_requests, 2 * kinds.length)
  assert.equal(counters.reuse_events, before.reuse_events)
})

test('stored grants are listed by scan and found by due', async () => {
  const all = [
    new FileStore(path.join(folder, 'many')),
    new SqliteStore(path.join(folder, 'many.db')),
    new SealedStore(new MemoryStore(), randomBytes(32)),
    new RedisStore(redis, { prefix: 'many:' }),
  ]
  for (const store of all) {
    for (let number = 0; number < 150; number += 1) {
      const due = number % 2 ? new Date(1e6 + number * 1000) : undefined
      assert.ok(await store.save(`key-${number}`, 'text', 0, due) > 0)
    }
    const found = new Set()
    let page
    do {
      page = await store.scan(page?.next)
      for (const key of page.keys) found.add(key)
    } while (page.next !== undefined)
    assert.equal(found.size, 150)
    assert.deepEqual(await store.due(new Date(1e6 + 6000), 2), ['key-1', 'key-3'])
    assert.equal(await store.remove('key-1'), true)
    assert.deepEqual(await store.due(new Date(1e6 + 4000), 100), ['key-3'])
    await assert.rejects(store.due(1e9, 1), TypeError)
    await assert.rejects(store.due(new Date(), -1), TypeError)
    await assert.rejects(store.save('k', 'text', 0, 7), TypeError)
  }
})

test('a source stores when its grant is due', async () => {
  const store = new MemoryStore()
  const config = storeConfig()
  const source = createClient(config).source(undefined, { store, subject: 'ann' })
  const tokens = await signIn(createClient(config))
  await source.logIn(tokens)
  assert.deepEqual(await store.due(tokens.expiresAt, 9), [])
  assert.deepEqual(await store.due(new Date(tokens.expiresAt.getTime() + 1000), 9), [source.key])
  assert.equal(inspect(store), 'MemoryStore {}')
})

test('a truncated record is reported as malformed and not overwritten', async () => {
  const config = storeConfig(newPlace.FileStore())
  await storeExpiredLogin(config)
  const store = storeAt(config.place)
  const [key] = await store.keys()
  const name = readdirSync(config.place.path).find((file) => file.endsWith('.json'))
  const file = path.join(config.place.path, name)
  const whole = readFileSync(file)
  const truncated = whole.subarray(0, whole.length / 2)
  writeFileSync(file, truncated)
  // The same applies to a custom store around it.
  const wrapped = {
    load: (...verb) => store.load(...verb),
    save: (...verb) => store.save(...verb),
    lease: (...verb) => store.lease(...verb),
  }
  const client = createClient(config)
  const sources = [store, wrapped].map((store) => client.source(undefined, { store, subject: 'ann' }))
  for (const call of [...sources.map((source) => () => source.token()), () => store.load(key)]) {
    const error = await rejection(call())
    assert.ok(error instanceof MisuseError)
    assert.deepEqual([error.code, error.endpoint, error.advice], ['stored.malformed', 'store', 'reauthorize'])
  }
  assert.deepEqual(readFileSync(file), truncated)
  assert.equal(await store.remove(key), true)
  await sources[0].logIn(await signIn(client))
  assert.ok(await sources[1].token())
})

test('unusable stores are rejected at construction', () => {
  const file = path.join(folder, 'file')
  writeFileSync(file, '')
  const open = path.join(folder, 'open')
  mkdirSync(open)
  chmodSync(open, 0o777)
  const setup = { code: 'store.setup', endpoint: 'store' }
  assert.throws(() => new FileStore(file), setup)
  assert.throws(() => new FileStore(open), setup)
  assert.throws(() => new SqliteStore(path.join(open, 'grants.db')), setup)
  assert.throws(() => new SqliteStore(7), TypeError)
  assert.throws(() => new RedisStore(`http://:${PASSWORD}@127.0.0.1/`), (error) => {
    assert.equal(error.code, 'store.setup')
    return !String(error.stack).includes(PASSWORD)
  })
  assert.throws(() => new PostgresStore(`postgres://:${PASSWORD}@127.0.0.1:port/`), (error) => {
    assert.equal(error.code, 'store.setup')
    return !String(error.stack).includes(PASSWORD)
  })
  assert.throws(() => new FileStore(7), TypeError)
  assert.throws(() => new RedisStore(redis, { timeoutMs: 0 }), TypeError)
  assert.equal(inspect(new FileStore(pathToFileURL(path.join(folder, 'new')))), `FileStore { path: '${path.join(folder, 'new')}' }`)
})

test('an unreachable or refusing server is reported without its password', async () => {
  const store = new RedisStore(`${redis}/0`, { prefix: 'mine:', timeoutMs: 20_000 })
  assert.ok(await store.save('of this prefix', 'text', 0) > 0)
  assert.equal(await new RedisStore(`${redis}/0`).load('of this prefix'), undefined)
  const refused = await rejection(new RedisStore(redis.replace(PASSWORD, 'wr0ng'), { timeoutMs: 20_000 }).load('k'))
  assert.equal(refused.code, 'store.setup')
  assert.ok(!inspect(refused).includes('wr0ng'))
  const port = await freePort()
  for (const unreachable of [
    new RedisStore(`redis://:${PASSWORD}@127.0.0.1:${port}/`, { timeoutMs: 2000 }),
    new PostgresStore(`postgres://tester:${PASSWORD}@127.0.0.1:${port}/`, { timeoutMs: 2000 }),
  ]) {
    const error = await rejection(unreachable.load('k'))
    assert.ok(error instanceof LostError)
    assert.equal(error.endpoint, 'store')
    assert.ok(![inspect(error), inspect(unreachable, { showHidden: true }), JSON.stringify(unreachable)].join().includes(PASSWORD))
  }
})

test('migrate creates the table once, and a missing table is reported', async () => {
  const url = newDatabase()
  const store = new PostgresStore(url, { timeoutMs: 2000 })
  const missing = await rejection(store.load('k'))
  assert.ok(missing instanceof MisuseError)
  assert.deepEqual([missing.code, missing.endpoint], ['store.setup', 'store'])
  assert.match(missing.message, /migrate/)
  assert.deepEqual(await Promise.all(Array.from({ length: 4 }, () => new PostgresStore(url).migrate())), Array(4).fill(undefined))
  const version = await store.save('k', 'text', 0)
  assert.ok(version > 0)
  await store.migrate()
  assert.deepEqual(await store.load('k'), { version, record: 'text' })
  const refused = await rejection(new PostgresStore(url.replace(PASSWORD, 'wr0ng')).migrate())
  assert.equal(refused.code, 'store.setup')
  assert.ok(!inspect(refused).includes('wr0ng'))
  assert.match(PostgresStore.SCHEMA, /create table/i)
})
