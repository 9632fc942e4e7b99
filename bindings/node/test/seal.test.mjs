// Records that only the holder of a key can read.
import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { inspect } from 'node:util'
import { followToCallback, core, rejection, serverAt, twins } from './helper.mjs'
import { expireStoredTokens } from './memory.mjs'

const { Client, FileStore, MisuseError, SealedStore, UntrustedError } = core
const [OLD, NEW] = [Buffer.alloc(32, 1), Buffer.alloc(32, 2)]
const base64url = (key) => key.toString('base64url')

const root = mkdtempSync(path.join(tmpdir(), 'oauth-core-'))
after(() => rmSync(root, { recursive: true, force: true }))
let places = 0
const newPlace = () => path.join(root, String((places += 1)))

function readRecordFile(folder) {
  const [name] = readdirSync(folder).filter((file) => file.endsWith('.json'))
  return readFileSync(path.join(folder, name), 'utf8')
}

test('two processes share a sealed file store that contains no token in plaintext', async () => {
  const { generic: twin } = await twins()
  const { clientId, clientSecret, redirectUris, issuer } = await twin.client()
  const metadata = { issuer, authorization_endpoint: `${twin.base}/authorize`, token_endpoint: `${twin.base}/token` }
  const client = new Client(serverAt(twin.base), { clientId, clientSecret })
  const place = { path: newPlace(), key: base64url(randomBytes(32)) }
  const store = new SealedStore(new FileStore(place.path), place.key)
  const { url, flow } = client.authorize({ redirectUri: redirectUris[0], scope: 'read offline_access' })
  const source = client.source(undefined, { store, subject: 'ann' })
  await source.logIn(await client.redeem(flow, await followToCallback(url, redirectUris[0])))
  await expireStoredTokens(store, source.key)

  const config = JSON.stringify({ metadata, clientId, clientSecret, place, leaseMs: 2000 })
  const program = fileURLToPath(new URL('worker.mjs', import.meta.url))
  const before = await twin.counters()
  const results = await Promise.all(Array.from({ length: 2 }, async () => {
    const worker = fork(program, [config])
    await once(worker, 'message')
    const message = once(worker, 'message')
    const end = once(worker, 'exit')
    worker.send('go')
    const [{ tokens }] = await message
    assert.equal((await end)[0], 0)
    return tokens
  }))
  const counters = await twin.counters()
  assert.equal(counters.token_requests - before.token_requests, 1)
  assert.equal(counters.reuse_events, before.reuse_events)
  const fresh = await client.source(undefined, { store, subject: 'ann' }).token()
  assert.deepEqual(results, [[fresh.accessToken], [fresh.accessToken]])
  const secrets = [fresh.accessToken, fresh.refreshToken, place.key]
  assert.ok(secrets.every((secret) => !readRecordFile(place.path).includes(secret)))
  // An unsealed store has the token in its file, so the check above could find it.
  const open = newPlace()
  await client.source(undefined, { store: new FileStore(open), subject: 'ann' }).logIn(fresh)
  assert.ok(readRecordFile(open).includes(fresh.accessToken))
})

test('a record cannot be opened with a wrong key', async () => {
  const folder = newPlace()
  const files = new FileStore(folder)
  const wrong = new SealedStore(files, OLD)
  const client = new Client(serverAt('http://127.0.0.1:1'), { clientId: 'c', clientSecret: 's' })
  const source = client.clientCredentials({ store: wrong })
  assert.ok(await new SealedStore(files, NEW).save(source.key, 'text', 0) > 0)
  const stored = readRecordFile(folder)
  for (const call of [() => source.token(), () => wrong.load(source.key)]) {
    const error = await rejection(call())
    assert.ok(error instanceof UntrustedError)
    assert.deepEqual([error.code, error.endpoint], ['stored.sealed', 'store'])
    assert.ok(![OLD, NEW].some((key) => inspect(error).includes(base64url(key))))
  }
  assert.equal(readRecordFile(folder), stored)
  assert.equal(await wrong.remove(source.key), true)
  assert.deepEqual(await files.keys(), [])
})

test('a record sealed with an old key is resealed', async () => {
  const files = new FileStore(newPlace())
  const first = await new SealedStore(files, base64url(OLD)).save('k', 'text', 0)
  const both = new SealedStore(files, NEW, { old: [randomBytes(32), OLD] })
  assert.deepEqual(await both.load('k'), { version: first, record: 'text' })
  assert.equal((await rejection(new SealedStore(files, NEW).load('k'))).code, 'stored.sealed')
  const second = await both.save('k', 'text', first)
  assert.ok(second > first)
  assert.deepEqual(await new SealedStore(files, base64url(NEW)).load('k'), { version: second, record: 'text' })
  assert.equal((await rejection(new SealedStore(files, OLD).load('k'))).code, 'stored.sealed')
})

test('an invalid key is reported without showing it', () => {
  const files = new FileStore(newPlace())
  const long = Buffer.alloc(33, 2)
  for (const key of [NEW.subarray(1), long, Buffer.alloc(0), base64url(NEW).slice(1), `${base64url(NEW)}=`, 'k3y!'.repeat(11), '']) {
    for (const make of [() => new SealedStore(files, key), () => new SealedStore(files, NEW, { old: [OLD, key] })]) {
      assert.throws(make, (error) => {
        assert.ok(error instanceof MisuseError)
        assert.equal(error.code, 'key.sealing')
        return key.length === 0 || !inspect(error).includes(typeof key === 'string' ? key : base64url(key))
      })
    }
  }
  for (const key of [7, undefined, {}, [1, 2]]) assert.throws(() => new SealedStore(files, key), TypeError)
  for (const old of [7, base64url(OLD), [7]]) assert.throws(() => new SealedStore(files, NEW, { old }), TypeError)
})

test('only stores can be sealed, and a sealed store shows nothing', async () => {
  for (const store of [{}, undefined, null, 'grants']) assert.throws(() => new SealedStore(store, NEW), TypeError)
  const inner = new SealedStore(new FileStore(newPlace()), OLD)
  const twice = new SealedStore(inner, NEW)
  const version = await twice.save('k', 'text', 0)
  assert.deepEqual(await twice.load('k'), { version, record: 'text' })
  assert.notEqual((await inner.load('k')).record, 'text')
  assert.equal(inspect(twice, { showHidden: true }), 'SealedStore {}')
  assert.equal(JSON.stringify(twice), '{}')
})

test('resealing reports records that cannot be opened, and can accept plain ones', async () => {
  const files = new FileStore(newPlace())
  await files.save('plain', 'text', 0)
  await new SealedStore(files, OLD).save('old', 'text', 0)
  await new SealedStore(files, Buffer.alloc(32)).save('lost', 'text', 0)
  assert.deepEqual(await new SealedStore(files, NEW, { old: [OLD] }).reseal(), { count: 1, unopened: ['lost', 'plain'] })
  const taking = new SealedStore(files, NEW, { old: [OLD], plain: 'accept' })
  assert.deepEqual(await taking.reseal(), { count: 1, unopened: ['lost'] })
  for (const name of ['plain', 'old']) assert.equal((await new SealedStore(files, NEW).load(name)).record, 'text')
  assert.throws(() => new SealedStore(files, NEW, { plain: true }), TypeError)
})

test('record names are hidden from the inner store if configured', async () => {
  const files = new FileStore(newPlace())
  const sealed = new SealedStore(files, NEW, { names: base64url(OLD) })
  await sealed.save('anna', 'text', 0, new Date(1000))
  const [name] = await files.keys()
  assert.ok(name.length === 43 && !name.includes('anna'))
  assert.deepEqual(await sealed.scan(), { keys: ['anna'], next: undefined })
  assert.deepEqual(await sealed.due(new Date(2000), 9), ['anna'])
})

test('a login replaces a record that no key opens', async () => {
  const { generic: twin } = await twins()
  const { clientId, clientSecret, redirectUris } = await twin.client()
  const client = new Client(serverAt(twin.base), { clientId, clientSecret })
  const { url, flow } = client.authorize({ redirectUri: redirectUris[0], scope: 'read offline_access' })
  const tokens = await client.redeem(flow, await followToCallback(url, redirectUris[0]))
  const files = new FileStore(newPlace())
  await client.source(undefined, { store: new SealedStore(files, OLD), subject: 'ann' }).logIn(tokens)
  const source = client.source(undefined, { store: new SealedStore(files, NEW), subject: 'ann' })
  assert.equal((await rejection(source.token())).code, 'stored.sealed')
  await source.logIn(tokens)
  assert.equal((await source.token()).accessToken, tokens.accessToken)
})

test('a login replaces a truncated record', async () => {
  const { generic: twin } = await twins()
  const { clientId, clientSecret, redirectUris } = await twin.client()
  const client = new Client(serverAt(twin.base), { clientId, clientSecret })
  const { url, flow } = client.authorize({ redirectUri: redirectUris[0], scope: 'read offline_access' })
  const tokens = await client.redeem(flow, await followToCallback(url, redirectUris[0]))
  const place = newPlace()
  const sourceWith = (tokens) => client.source(tokens, { store: new FileStore(place), subject: 'ann' })
  await sourceWith().logIn(tokens)
  const record = path.join(place, readdirSync(place).find((file) => file.endsWith('.json')))
  writeFileSync(record, readFileSync(record, 'utf8').slice(0, -9))
  const source = sourceWith()
  assert.equal((await rejection(source.token())).code, 'stored.malformed')
  assert.equal((await rejection(source.token())).code, 'stored.malformed', 'a renewal leaves it')
  await source.logIn(tokens)
  assert.equal((await source.token()).accessToken, tokens.accessToken)
  assert.equal((await sourceWith().token()).accessToken, tokens.accessToken)
})
