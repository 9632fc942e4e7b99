// Stores in workerd: sealed ones, whose records are those of Node.js, and what Workers can store them in; `web-edge.test.mjs`
// runs them, which has installed the package where they are bundled.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { after, test } from 'node:test'
import { core, freePort, rejection, twins } from './helper.mjs'
import { Browser, checks } from './web-checks.mjs'
import { bundled, chapter, place, served, snippets } from './web-worker.mjs'

const { MemoryStore, SealedStore, SealingKey } = core
const [OLD, NEW, NAMES] = [1, 2, 3].map((byte) => Buffer.alloc(32, byte).toString('base64url'))

/** A Worker that asks a store, sealed if there is a key: `POST` of `{ place, key, options, method, args }`. */
const code = `
  import * as core from 'oauth-core'
  import { store as d1 } from './d1.mjs'
  import { store as kv } from './kv.mjs'
  import { store as objects } from './records.mjs'
  export { StoredRecord } from './records.mjs'

  const { load, save, lease } = objects
  const places = { d1, kv, objects, three: { load, save, lease } }
  const own = {
    async raced(store, name) {
      const many = Array.from({ length: 20 }, (_, at) => String(at))
      const leases = await Promise.all(many.map((holder) => store.lease(name, holder, 60_000)))
      const saves = await Promise.all(many.map((record) => store.save(name, record, 0)))
      const won = (list, is) => list.filter(is).length
      return { leases: won(leases, (held) => !(held > 0)), saves: won(saves, (version) => version > 0) }
    },
    async expires(store, name) {
      const version = await store.save(name, 'text', 0, undefined, new Date(Date.now() + 1500))
      const before = (await store.load(name))?.record
      await new Promise((wake) => setTimeout(wake, 2500))
      const over = (await store.load(name)) ?? null
      return { before, over, isHigher: (await store.save(name, 'text', 0)) > version }
    },
    open: async (store, name) => (await core.DpopKey.open(store, name)).thumbprint,
    due: async (store, before, limit) => store.due(new Date(before), limit),
    async saveDue(store, name, record, due) { return store.save(name, record, 0, new Date(due)) },
    async keeps(store, name) {
      const server = core.Server.fromMetadata('https://as.example', { issuer: 'https://as.example', token_endpoint: 'https://as.example/token' })
      const fetch = async () => Response.json({ access_token: 'S3CR3T', token_type: 'Bearer', expires_in: 600 })
      const client = new core.Client(server, { clientId: name, clientSecret: 's', fetch })
      const source = client.clientCredentials({ store })
      return [source.key, (await source.token()).accessToken]
    },
  }
  export default { async fetch(request) {
    const { place, key, options, method, args } = await request.json()
    try {
      const store = key === undefined ? places[place] : new core.SealedStore(places[place], key, options)
      const said = await (own[method] ? own[method](store, ...args) : store[method](...args))
      return Response.json({ said: said ?? null })
    } catch (error) {
      return Response.json({ code: error.code ?? String(error), endpoint: error.endpoint, text: String(error) })
    }
  } }
`
const { generic: twin } = await twins()
await twin.claim('name', 'Ann')
const { clientId, clientSecret } = await twin.client()
const worker = await bundled("export * from './worker.mjs'; export { default } from './worker.mjs'")
const port = await freePort()
after(await served(port, await bundled(code), {}))

/** A store of the Worker, called from Node.js. */
function workerStore(place, key, options) {
  const callWorker = async (method, ...args) => {
    const reply = await fetch(`http://127.0.0.1:${port}/`, { method: 'POST', body: JSON.stringify({ place, key, options, method, args }) })
    const { said: body, code, ...more } = await reply.json()
    if (code !== undefined) throw Object.assign(new Error(more.text), { code, ...more })
    return body
  }
  const methods = ['load', 'save', 'lease', 'remove', 'scan', 'due', 'reseal', 'raced', 'expires', 'open', 'keeps', 'saveDue']
  return Object.fromEntries(methods.map((method) => [method, (...args) => callWorker(method, ...args)]))
}

for (const [what, options, place] of [
  ['with its name', {}, 'objects'], ['with a hidden name', { names: NAMES }, 'd1'], ['where three methods are all', {}, 'three'],
]) {
  test(`a sealed record is readable by both Node.js and a Worker: ${what}`, async () => {
    const memory = new MemoryStore()
    const [mine, theirs] = [new SealedStore(memory, NEW, options), workerStore(place, NEW, options)]
    const raw = workerStore(place)
    const text = '{"secret":"S3CR3T é 🔑"}'
    const name = `made-here-${place}`

    await mine.save(name, text, 0)
    const [stored] = (await memory.scan()).keys
    assert.equal(stored === name, options.names === undefined)
    assert.ok(await raw.save(stored, (await memory.load(stored)).record, 0) > 0)
    const { version, record } = await theirs.load(name)
    assert.equal(record, text)

    // The Worker saves over it, and Node.js reads that.
    const next = await theirs.save(name, `${text}.`, version)
    assert.ok(next > version)
    assert.equal((await theirs.save(name, 'late', version)), null)
    const sealed = await raw.load(stored)
    assert.equal(sealed.record.includes('S3CR3T'), false)
    const again = new MemoryStore()
    await again.save(stored, sealed.record, 0)
    assert.equal((await new SealedStore(again, NEW, options).load(name)).record, `${text}.`)

    assert.equal(await theirs.lease(name, 'a', 60_000), null)
    assert.ok(await theirs.lease(name, 'b', 60_000) > 0)
    assert.equal(await theirs.remove(name), true)
    assert.equal(await theirs.remove(name), false)
    assert.equal((await theirs.load(name)).record, '')
  })
}

test('a record that cannot be opened is reported in a Worker as in Node.js', async () => {
  const [raw, memory] = [workerStore('objects'), new MemoryStore()]
  const keyed = (key) => [workerStore('objects', key), new SealedStore(memory, key)]
  await workerStore('objects', OLD).save('shut', 'text', 0)
  const { record } = await raw.load('shut')
  const changed = record.replace(/"sealed":"(.)/, (_, first) => `"sealed":"${first === 'A' ? 'B' : 'A'}`)
  for (const [name, text, key, why] of [
    ['unknown', record, NEW, new RegExp(new SealingKey(OLD).id)], ['moved', record, OLD, /changed, or moved/],
    ['changed', changed, OLD, /changed, or moved/], ['plain', 'text', OLD, /not sealed/],
    ['later', record.replace('"over":0', '"over":9000000000000000'), OLD, /changed, or moved/],
  ]) {
    const [theirs, mine] = keyed(key)
    await raw.save(name, text, 0)
    await memory.save(name, text, 0)
    const [errorInWorker, errorOnNode] = [await rejection(theirs.load(name)), await rejection(mine.load(name))]
    assert.deepEqual([errorInWorker.code, errorInWorker.endpoint], ['stored.sealed', 'store'], name)
    assert.equal(errorOnNode.code, errorInWorker.code)
    assert.match(errorInWorker.message, why)
    assert.equal(errorInWorker.message.split(': ').slice(1).join(': '), errorOnNode.message)
  }
  assert.equal((await rejection(workerStore('objects', 'short').load('k'))).code, 'key.sealing')
  const accepting = workerStore('objects', OLD, { plain: 'accept' })
  assert.equal((await accepting.load('plain')).record, 'text')
})

test('a Worker reseals all records with a new key', async () => {
  const raw = workerStore('d1')
  await raw.save('reseal-plain', 'text', 0)
  await workerStore('d1', OLD).save('reseal-old', '{"until":4000000000}', 0)
  await workerStore('d1', NAMES).save('reseal-lost', 'text', 0)
  const both = workerStore('d1', NEW, { old: [OLD] })
  assert.equal((await both.load('reseal-old')).record, '{"until":4000000000}')
  const { count, unopened } = await both.reseal()
  assert.deepEqual([count, unopened.filter((name) => name.startsWith('reseal'))], [1, ['reseal-lost', 'reseal-plain']])
  assert.equal((await workerStore('d1', NEW).load('reseal-old')).record, '{"until":4000000000}')
  assert.equal((await rejection(workerStore('d1', OLD).load('reseal-old'))).code, 'stored.sealed')
  assert.equal((await workerStore('d1', NEW, { plain: 'accept' }).reseal()).count, 1)
  assert.equal((await workerStore('d1', NEW).load('reseal-plain')).record, 'text')
  // Durable Objects cannot be listed.
  assert.equal((await rejection(workerStore('objects', NEW).reseal())).code, 'misuse.not_supported')
})

test('a Worker lists hidden record names', async () => {
  const hidden = workerStore('d1', NEW, { names: OLD })
  await hidden.saveDue('anna', 'text', 1000)
  assert.deepEqual(await hidden.due(2000, 9), ['anna'])
  assert.ok((await hidden.scan()).keys.includes('anna'))
  assert.equal(await workerStore('d1').load('anna'), null)
})

test('sealed DPoP keys and tokens of a Worker are readable by Node.js with the key', async () => {
  const [sealed, raw] = [workerStore('d1', NEW), workerStore('d1')]
  const [name, token] = await sealed.keeps('sealed-grant')
  const thumbprint = await sealed.open('sealed-key')
  const memory = new MemoryStore()
  for (const key of [name, 'dpop-key:sealed-key']) {
    const { record } = await raw.load(key)
    assert.equal(/S3CR3T|PRIVATE KEY/.test(record), false)
    await memory.save(key, record, 0)
  }
  const mine = new SealedStore(memory, NEW)
  assert.equal((await core.DpopKey.open(mine, 'sealed-key')).thumbprint, thumbprint)
  const server = core.Server.fromMetadata('https://as.example', { issuer: 'https://as.example', token_endpoint: 'https://as.example/token' })
  const source = new core.Client(server, { clientId: 'sealed-grant', clientSecret: 's' }).clientCredentials({ store: mine })
  assert.deepEqual([source.key, (await source.token()).accessToken], [name, token])
  assert.equal((await rejection(workerStore('d1', OLD).keeps('sealed-grant'))).code, 'stored.sealed')
})

for (const place of ['objects', 'd1']) {
  test(`one of twenty concurrent requests gets the lease, and one saves: ${place}`, async () => {
    assert.deepEqual(await workerStore(place).raced('raced'), { leases: 1, saves: 1 })
  })

  test(`a record expires, and its version is not reused: ${place}`, async () => {
    assert.deepEqual(await workerStore(place).expires('expires'), { before: 'text', over: null, isHigher: true })
  })
}

test('the D1 store of the tests is the one in the guide', () => {
  const [code] = snippets(chapter, 'js d1')
  const file = readFileSync(path.join(place, 'd1.mjs'), 'utf8')
  assert.equal(file.slice(file.indexOf('\n') + 1), code)
})

test('with KV, concurrent requests all get the lease and all save', async () => {
  const { leases, saves } = await workerStore('kv').raced('raced')
  assert.ok(leases > 1 && saves > 1, `${leases} leases, ${saves} saves`)
})

const whole = Object.fromEntries(checks)

/** A site of a Worker whose sessions are stored in this way. */
const storing = (context, stored) => async ({ admit = 'cart', ...settings }) => {
  const port = await freePort()
  const base = `http://127.0.0.1:${port}`
  await twin.register(`${base}/auth/callback`)
  const SETTINGS = { framework: 'fetch handler', base, twin: twin.base, clientId, clientSecret, rootPath: '', admit, ...settings, stored }
  context.after(await served(port, worker, { SETTINGS }))
  return { base }
}

for (const what of [
  'fifty API calls with an expired token share one refresh', 'signing out ends the session and revokes the grant',
  'a user whose grant has ended is redirected to sign in, and a script gets 401',
]) {
  test(`${what}: sealed in D1`, async (context) => whole[what]({ open: storing(context, 'sealed in D1'), twin }))
}

/** The guide warns of this. */
test('with KV, a refresh token is reused and the server ends the grant', async (context) => {
  const { base } = await storing(context, 'KV')({ stored: true })
  const ann = new Browser()
  assert.equal((await ann.open(`${base}/echo`)).text, '200')
  await twin.expire()
  const before = await twin.counters()
  await Promise.all(Array.from({ length: 5 }, () => ann.open(`${base}/call`)))
  assert.ok((await twin.counters()).reuse_events > before.reuse_events)
})
