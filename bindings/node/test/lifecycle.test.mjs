// Threads and the end of the process.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { core, twins } from './helper.mjs'

const { generic: twin } = await twins()
const { clientId, clientSecret, issuer } = await twin.client()

const prelude = `
  const { Client, Server } = await import('oauth-core')
  const at = (issuer) => Server.fromMetadata(issuer, { issuer, token_endpoint: issuer + '/token' }, { transport: 'loopback_http' })
  const client = (issuer) => new Client(at(issuer), ${JSON.stringify({ clientId, clientSecret })})`

function node(script) {
  const args = ['--input-type=module', '-e', `${prelude}\n${script}`]
  const { status, signal, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8', timeout: 60_000 })
  return { status, signal, stdout: stdout.trim(), stderr }
}

test('worker threads share the runtime, which survives their exit', async () => {
  const code = `
    const { parentPort } = require('node:worker_threads')
    ;(async () => {
      ${prelude}
      const source = client(${JSON.stringify(issuer)}).clientCredentials({ scope: 'read' })
      const all = await Promise.all(Array.from({ length: 50 }, () => source.token()))
      parentPort.postMessage(new Set(all.map((tokens) => tokens.accessToken)).size)
    })()`
  for (let round = 0; round < 2; round += 1) {
    const sizes = await Promise.all(Array.from({ length: 4 }, () => new Promise((done, fail) => {
      const worker = new Worker(code, { eval: true })
      let size
      worker.once('message', (message) => { size = message })
      worker.once('error', fail)
      worker.once('exit', () => done(size))
    })))
    assert.deepEqual(sizes, [1, 1, 1, 1])
  }
  const server = await core.discover(issuer, { transport: 'loopback_http' })
  assert.equal(server.issuer, issuer)
})

test('a worker terminated during a renewal does not affect others', async () => {
  const code = `
    const { parentPort } = require('node:worker_threads')
    ;(async () => {
      ${prelude}
      const work = Array.from({ length: 50 }, () => client(${JSON.stringify(issuer)}).clientCredentials().token())
      parentPort.postMessage('busy')
      await Promise.all(work)
    })()`
  for (let round = 0; round < 5; round += 1) {
    await new Promise((done, fail) => {
      const worker = new Worker(code, { eval: true })
      worker.once('error', fail)
      worker.once('message', () => worker.terminate().then(done, fail))
    })
  }
  assert.ok(await new core.Client(await core.discover(issuer, { transport: 'loopback_http' }), { clientId, clientSecret })
    .clientCredentials().token())
})

for (const transport of ['native', 'fetch']) {
  test(`the process exits after an abort of a call whose function never settles: ${transport}`, () => {
    // Waiting for the 30 s timeout of the function would end with another status.
    const run = node(`
      const { assertionFunction } = await import('oauth-core')
      setTimeout(() => process.exit(3), 15_000).unref()
      const stop = new AbortController()
      const clientAuth = assertionFunction(() => {
        stop.abort(new Error('enough'))
        return new Promise(() => {})
      })
      const us = new Client(at(${JSON.stringify(issuer)}), { clientId: 'me', clientAuth${transport === 'fetch' ? ', fetch' : ''} })
      const call = us.password({ username: 'u', password: 'p' }, { signal: stop.signal })
      await call.catch((error) => console.log(error.message))`)
    assert.deepEqual([run.status, run.stdout], [0, 'enough'], run.stderr)
  })
}

test('the call timeout limits the wait for a function that never settles', async () => {
  const clientAuth = core.assertionFunction(() => new Promise(() => {}))
  const server = await core.discover(issuer, { transport: 'loopback_http' })
  for (const more of [{}, { fetch }]) {
    const client = new core.Client(server, { clientId: 'me', clientAuth, ...more })
    await assert.rejects(client.password({ username: 'u', password: 'p' }, { timeoutMs: 20 }), core.LostError)
  }
})

test('the call timeout limits the wait for a key service that never answers', async () => {
  const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const dpopKey = core.DpopKey.held({ ...publicKey.export({ format: 'jwk' }), alg: 'ES256' }, () => new Promise(() => {}))
  const server = await core.discover(issuer, { transport: 'loopback_http' })
  for (const more of [{}, { fetch }]) {
    const client = new core.Client(server, { clientId, clientSecret, dpopKey, ...more })
    await assert.rejects(client.password({ username: 'u', password: 'p' }, { timeoutMs: 20 }), core.LostError)
  }
})

test('the process exits immediately when requested, even with pending work', () => {
  for (const [termination, status] of Object.entries({ 'process.exit(7)': 7, 'throw new Error("out")': 1, 'process.kill(process.pid, "SIGTERM")': null })) {
    for (let round = 0; round < 3; round += 1) {
      const run = node(`
        const us = client(${JSON.stringify(issuer)})
        for (let n = 0; n < 200; n += 1) us.clientCredentials().token().catch(() => {})
        await new Promise((wake) => setTimeout(wake, ${round * 5}))
        ${termination}`)
      assert.equal(run.status, status, run.stderr)
      assert.equal(run.signal, status === null ? 'SIGTERM' : null)
    }
  }
})

test('a process exits by itself once its work is done', () => {
  const run = node(`
    const us = client(${JSON.stringify(issuer)})
    us.clientCredentials().token().then(() => console.log('done'))`)
  assert.deepEqual([run.status, run.stdout], [0, 'done'], run.stderr)
})

test('an aborted call does not keep the process alive', () => {
  const start = performance.now()
  const run = node(`
    import { createServer } from 'node:net'
    const silent = createServer(() => {}).listen(0, '127.0.0.1')
    await new Promise((done) => silent.once('listening', done))
    const us = client('http://127.0.0.1:' + silent.address().port)
    silent.unref()
    const error = await us.password({ username: 'u', password: 'p' }, { signal: AbortSignal.timeout(50) }).catch((error) => error)
    console.log(error.name)`)
  assert.deepEqual([run.status, run.stdout], [0, 'TimeoutError'], run.stderr)
  assert.ok(performance.now() - start < 10_000)
})
