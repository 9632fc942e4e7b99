// External keys: a key management service, or the keyring; and custom stores encrypted with them.
import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { inspect, promisify } from 'node:util'
import { followToCallback, core, rejection, serverAt, twins } from './helper.mjs'
import { MemoryStore } from './memory.mjs'

const { Client, FileStore, SealingKey, LostError, MisuseError, OAuthError, SealedStore, UntrustedError } = core
const [NAME, TEXT] = ['a-key', '{"access_token":"S3CR3T"}']

const root = mkdtempSync(path.join(tmpdir(), 'oauth-core-'))
after(() => rmSync(root, { recursive: true, force: true }))
let places = 0
const newPlace = () => path.join(root, String((places += 1)))

/** An in-memory key service that refers to each data key by a number. */
class Kms {
  keys = new Map()
  calls = []
  trouble = undefined
  gate = Promise.resolve()

  async #call(what) {
    this.calls.push(what)
    await this.gate
    if (this.trouble) throw this.trouble
  }

  async dataKey() {
    await this.#call('dataKey')
    const [id, key] = [`projects/p/keys/${this.keys.size}`, randomBytes(32)]
    this.keys.set(id, key)
    return { id, key }
  }

  async unwrapKey(id) {
    await this.#call(id)
    return this.keys.get(id)
  }
}

/** A custom store with all operations of the built-in stores. */
class Whole extends MemoryStore {
  due_ = new Map()

  async save(key, record, version, due) {
    const saved = await super.save(key, record, version)
    if (saved !== undefined) this.due_.set(key, due)
    return saved
  }

  async remove(key) {
    return this.records.delete(key)
  }

  scan() {
    return { keys: [...this.records.keys()] }
  }

  async due(before, limit) {
    return [...this.due_].filter(([, due]) => due < before).slice(0, limit).map(([key]) => key)
  }
}

test('the key service is called once for each key', async () => {
  const [kms, memory] = [new Kms(), new MemoryStore()]
  const [one, two] = [new SealedStore(memory, kms), new SealedStore(memory, kms)]
  for (const name of ['a', 'b', 'c']) assert.equal(await one.save(name, TEXT, 0), 1)
  assert.ok(!inspect(memory.records).includes('S3CR3T'))
  assert.deepEqual(kms.calls, ['dataKey'])
  for (const name of ['a', 'b', 'c', 'a']) assert.deepEqual(await two.load(name), { version: 1, record: TEXT })
  assert.deepEqual(kms.calls, ['dataKey', 'projects/p/keys/0'])
  await two.save('d', TEXT, 0)
  assert.equal((await one.load('d')).record, TEXT)
  assert.deepEqual(kms.calls.slice(2), ['dataKey', 'projects/p/keys/1'])
})

test('concurrent callers share one call of a slow key service', async () => {
  const [kms, memory] = [new Kms(), new MemoryStore()]
  await new SealedStore(memory, kms).save(NAME, TEXT, 0)
  const sealed = new SealedStore(memory, kms)
  let open
  kms.gate = new Promise((resolve) => { open = resolve })
  const reading = Array.from({ length: 50 }, () => sealed.load(NAME))
  while (kms.calls.length < 2) await pause(1)
  open()
  for (const { record } of await Promise.all(reading)) assert.equal(record, TEXT)
  assert.equal(kms.calls.length, 2)
})

test('a failing key service is reported, and the next call tries again', async () => {
  const { generic: twin } = await twins()
  const { clientId, clientSecret, redirectUris } = await twin.client()
  const client = new Client(serverAt(twin.base), { clientId, clientSecret })
  const { url, flow } = client.authorize({ redirectUri: redirectUris[0], scope: 'read offline_access' })
  const tokens = await client.redeem(flow, await followToCallback(url, redirectUris[0]))
  const [kms, memory] = [new Kms(), new MemoryStore()]
  const source = client.source(undefined, { store: new SealedStore(memory, kms), subject: 'ann' })
  await source.logIn(tokens)
  const before = [...memory.records]
  kms.trouble = new RangeError('secret of the service')
  const other = client.source(undefined, { store: new SealedStore(memory, kms), subject: 'ann' })
  const error = await rejection(other.token())
  assert.ok(error instanceof LostError)
  assert.deepEqual([error.code, error.endpoint], ['lost.unsent', 'store'])
  assert.match(error.message, /the key service.*RangeError/)
  assert.ok(!inspect(error).includes('secret of'))
  // A caller with a valid token is not affected.
  assert.equal((await source.token()).accessToken, tokens.accessToken)
  assert.deepEqual([...memory.records], before)
  kms.trouble = undefined
  assert.equal((await other.token()).accessToken, tokens.accessToken)
})

test('an unknown key ID is requested only once', async () => {
  const [kms, memory] = [new Kms(), new MemoryStore()]
  await new SealedStore(memory, kms).save(NAME, TEXT, 0)
  kms.keys.clear()
  const sealed = new SealedStore(memory, kms)
  for (let time = 0; time < 5; time += 1) {
    const error = await rejection(sealed.load(NAME))
    assert.ok(error instanceof UntrustedError)
    assert.equal(error.code, 'stored.sealed')
  }
  assert.equal(kms.calls.length, 2)
})

test('invalid keys of a key service are refused', async () => {
  const cases = [
    [{ id: 'id', key: Buffer.alloc(31) }, 'key.sealing'],
    [{ id: '', key: Buffer.alloc(32) }, 'key.sealing'],
    [{ id: 'a b', key: Buffer.alloc(32) }, 'key.sealing'],
    [{ key: Buffer.alloc(32) }, 'application.function'],
    [{ id: 7, key: Buffer.alloc(32) }, 'lost.unsent'],
    [undefined, 'lost.unsent'],
  ]
  for (const [returned, code] of cases) {
    const memory = new MemoryStore()
    const sealed = new SealedStore(memory, { dataKey: () => returned, unwrapKey: () => undefined })
    const error = await rejection(sealed.save(NAME, TEXT, 0))
    assert.ok(error instanceof OAuthError, inspect(error))
    assert.equal(error.code, code)
    assert.equal(memory.records.size, 0)
  }
  assert.throws(() => new SealedStore(new MemoryStore(), { dataKey() {} }), TypeError)
})

test('records are resealed from a static key to a key service and back', async () => {
  const [kms, store, sealingKey] = [new Kms(), new Whole(), new SealingKey(Buffer.alloc(32))]
  await new SealedStore(store, sealingKey).save(NAME, TEXT, 0)
  assert.deepEqual(await new SealedStore(store, kms, { old: [sealingKey] }).reseal(), { count: 1, unopened: [] })
  assert.equal((await new SealedStore(store, kms).load(NAME)).record, TEXT)
  assert.deepEqual(await new SealedStore(store, sealingKey, { old: [kms] }).reseal(), { count: 1, unopened: [] })
  assert.equal((await new SealedStore(store, Buffer.alloc(32)).load(NAME)).record, TEXT)
  assert.equal(inspect(sealingKey), `SealingKey { id: '${sealingKey.id}' }`)
})

test('each operation of a custom store is sealed', async () => {
  const store = new Whole()
  const sealed = new SealedStore(store, Buffer.alloc(32), { names: Buffer.alloc(32, 1) })
  const version = await sealed.save('anna', TEXT, 0, new Date(1000))
  assert.deepEqual(await sealed.load('anna'), { version, record: TEXT })
  const [[name, { record }]] = store.records
  assert.ok(name.length === 43 && !record.includes('S3CR3T'))
  assert.equal(await sealed.save('anna', 'another', version + 1), undefined)
  assert.equal(await sealed.lease('anna', 'one', 60_000), undefined)
  assert.ok(await sealed.lease('anna', 'two', 60_000) > 0)
  assert.equal(await sealed.lease('anna', 'one', 0), undefined)
  assert.deepEqual(await sealed.scan(), { keys: ['anna'], next: undefined })
  assert.deepEqual(await sealed.due(new Date(2000), 9), ['anna'])
  assert.equal(await sealed.remove('anna'), true)
  assert.equal(await sealed.load('anna'), undefined)
})

test('a sealed custom store needs only load, save and lease', async () => {
  const store = new MemoryStore()
  const twice = new SealedStore(new SealedStore(store, Buffer.alloc(32)), Buffer.alloc(32, 1))
  assert.equal(await twice.save(NAME, TEXT, 0), 1)
  assert.deepEqual(await twice.load(NAME), { version: 1, record: TEXT })
  assert.equal(await twice.remove(NAME), true)
  assert.deepEqual(await twice.load(NAME), { version: 2, record: '' })
  for (const call of [() => twice.scan(), () => twice.due(new Date(), 1), () => twice.reseal()]) {
    assert.equal((await rejection(call())).code, 'misuse.not_supported')
  }
})

test('errors of a custom store are reported without its secrets', async () => {
  const broken = [
    () => { throw new Error('postgres://user:S3CR3T@host') },
    () => Promise.reject(Object.assign(new Error('S3CR3T'), { code: 'ECONNRESET' })),
    () => ({ version: 'S3CR3T', record: TEXT }),
    () => 'S3CR3T',
  ]
  for (const load of broken) {
    const sealed = new SealedStore(Object.assign(new MemoryStore(), { load }), Buffer.alloc(32))
    const error = await rejection(sealed.load(NAME))
    assert.ok(error instanceof LostError, inspect(error))
    assert.match(error.message, /the store threw/)
    assert.ok(!inspect(error).includes('S3CR3T'), inspect(error))
  }
  // An error of a built-in store underneath is passed on.
  const folder = newPlace()
  const files = new FileStore(folder)
  const inner = new MemoryStore()
  inner.load = (key) => files.load(key)
  await files.save(NAME, 'text', 0)
  writeFileSync(path.join(folder, `grant-${NAME}.json`), '{}')
  assert.equal((await rejection(new SealedStore(inner, Buffer.alloc(32)).load(NAME))).code, 'stored.malformed')
})

/** Where child programs find the package. */
const cwd = new URL('.', import.meta.url)

test('a sealed custom store does not keep the process alive', async () => {
  const script = `
    import { SealedStore } from 'oauth-core'
    const records = new Map()
    const store = {
      load: (key) => records.get(key),
      save: (key, record, version) => { records.set(key, { version: version + 1, record }); return version + 1 },
      lease: () => {},
    }
    const kms = { dataKey: () => ({ id: 'id', key: Buffer.alloc(32) }), unwrapKey() {} }
    const sealed = new SealedStore(store, kms)
    await sealed.save('k', 'text', 0)
    console.log((await sealed.load('k')).record)`
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], { cwd, timeout: 30_000 })
  assert.equal(stdout, 'text\n')
})

const BUS = `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
  "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>session</type><listen>unix:tmpdir=FOLDER</listen><policy context="default">
<allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/>
</policy></busconfig>`

/** A bus, and an unlocked keyring on it, for this process and those it starts. */
async function session(t) {
  const folder = mkdtempSync(path.join(tmpdir(), 'oauth-bus-'))
  const before = { ...process.env }
  const config = path.join(folder, 'bus.conf')
  writeFileSync(config, BUS.replace('FOLDER', folder))
  const bus = spawn('dbus-daemon', ['--nofork', '--print-address', '--config-file', config], { stdio: ['ignore', 'pipe', 'ignore'] })
  t.after(() => bus.kill('SIGKILL'))
  const [address] = await once(bus.stdout.setEncoding('utf8'), 'data')
  const ours = { DBUS_SESSION_BUS_ADDRESS: address.trim(), XDG_RUNTIME_DIR: folder, XDG_DATA_HOME: folder, HOME: folder }
  Object.assign(process.env, ours)
  const daemon = spawn('gnome-keyring-daemon', ['--foreground', '--unlock', '--components=secrets'], { stdio: ['pipe', 'ignore', 'ignore'] })
  daemon.stdin.end('password\n')
  t.after(async () => {
    const ended = once(daemon, 'exit')
    daemon.kill('SIGKILL')
    await ended
    for (const name of Object.keys(ours)) delete process.env[name]
    Object.assign(process.env, before)
    rmSync(folder, { recursive: true, force: true })
  })
}

/** The daemon may need a moment before it answers. */
async function fromKeyring(folder, name) {
  for (let tries = 0; ; tries += 1) {
    try {
      return await SealingKey.fromKeyring(folder, { service: 'tests', name })
    } catch (error) {
      if (tries > 400 || !/no keyring can be reached/.test(error.message)) throw error
      await pause(50)
    }
  }
}

const isLinux = process.platform === 'linux'

test('a keyring key is created once for all processes', { skip: !isLinux && 'the keyring of others is the person\'s own' }, async (t) => {
  await session(t)
  const [locks, grants] = [newPlace(), newPlace()]
  const other = await fromKeyring(locks, 'other')
  const script = `
    import { SealingKey } from 'oauth-core'
    console.log((await SealingKey.fromKeyring(${JSON.stringify(locks)}, { service: 'tests' })).id)`
  const run = () => promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], { cwd, timeout: 60_000 })
  const ids = (await Promise.all([run(), run(), run(), run()])).map(({ stdout }) => stdout.trim())
  const key = await fromKeyring(locks)
  assert.deepEqual(new Set(ids), new Set([key.id]))
  assert.notEqual(key.id, other.id)
  const files = new FileStore(grants)
  const version = await new SealedStore(files, key).save(NAME, TEXT, 0)
  assert.deepEqual(await new SealedStore(files, await fromKeyring(locks)).load(NAME), { version, record: TEXT })
  for (const folder of [locks, grants]) {
    for (const file of readdirSync(folder)) assert.ok(!readFileSync(path.join(folder, file), 'utf8').includes('S3CR3T'))
  }
})

test('an unreachable keyring is reported', { skip: !isLinux && 'there is always one' }, async (t) => {
  const place = newPlace()
  const taken = []
  const silent = net.createServer((socket) => taken.push(socket)).listen(place)
  await once(silent, 'listening')
  const before = process.env.DBUS_SESSION_BUS_ADDRESS
  t.after(() => {
    silent.close()
    for (const socket of taken) socket.destroy()
    if (before === undefined) delete process.env.DBUS_SESSION_BUS_ADDRESS
    else process.env.DBUS_SESSION_BUS_ADDRESS = before
  })
  for (const [address, why] of [
    ['unix:path=/nowhere', /no keyring can be reached/],
    [`unix:path=${place}`, /it gives no answer/],
  ]) {
    process.env.DBUS_SESSION_BUS_ADDRESS = address
    const error = await rejection(SealingKey.fromKeyring(newPlace()))
    assert.ok(error instanceof MisuseError)
    assert.deepEqual([error.code, error.endpoint], ['store.setup', 'store'])
    assert.match(error.message, why)
  }
})
