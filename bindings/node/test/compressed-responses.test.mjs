// Compressed responses that expand to far more than the limit: over `fetch`, and natively.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib'
import { core, listen, rejection, serverAt } from './helper.mjs'

const { Client, MalformedError, run } = core
const MIB = 1 << 20
const TOKENS = JSON.stringify({ access_token: 't', token_type: 'Bearer' })
const CODINGS = { gzip: gzipSync, deflate: deflateSync }

/** A server that sends this body in every response, and the headers that it received. */
async function serverReplying(body, coding) {
  const seen = []
  const base = await listen((request, reply) => {
    seen.push(request.headers)
    reply.writeHead(200, { 'content-type': 'application/json', ...(coding && { 'content-encoding': coding }) })
    reply.end(body)
  })
  return { base, seen }
}

const exchangeAt = (base) => new Client(serverAt(base), { clientId: 'id', clientSecret: 's' }).exchange.clientCredentials()

test('responses are requested uncompressed and uncached, but decompressed if necessary', async () => {
  for (const [coding, pack] of Object.entries(CODINGS)) {
    const { base, seen } = await serverReplying(pack(TOKENS), coding)
    let requestInit
    const recordingFetch = (url, init) => fetch(url, requestInit = init)
    assert.equal((await run(exchangeAt(base), { fetch: recordingFetch })).accessToken, 't', coding)
    assert.equal(seen[0]['accept-encoding'], 'identity')
    assert.equal(requestInit.cache, 'no-store')
  }
})

test('a body that decompresses to more than a mebibyte is too large', async () => {
  const exact = TOKENS + ' '.repeat(MIB - TOKENS.length)
  for (const [coding, pack] of Object.entries(CODINGS)) {
    assert.ok(pack(exact).length < 10_000)
    const reply = await serverReplying(pack(exact), coding)
    assert.equal((await run(exchangeAt(reply.base))).accessToken, 't', coding)
    const tooLarge = await serverReplying(pack(exact + ' '), coding)
    const error = await rejection(run(exchangeAt(tooLarge.base)))
    assert.ok(error instanceof MalformedError, coding)
    assert.equal(error.code, 'reply.too_large')
  }
})

test('an unrequested expensive encoding is not decompressed', async () => {
  for (const coding of ['br', 'zstd', 'gzip, br', 'x\u00e9']) {
    const { base } = await serverReplying(brotliCompressSync(TOKENS), coding)
    const error = await rejection(run(exchangeAt(base)))
    assert.equal(error.code, 'lost', coding)
    assert.match(error.cause.message, /compressed, which was not requested/)
  }
})

// Peaks are read from /proc.
test('reading a response takes at most 16 MiB of memory', { skip: process.platform !== 'linux' }, async () => {
  const reply = await serverReplying(TOKENS)
  const text = JSON.stringify({ access_token: 't', token_type: 'Bearer', x: 'x'.repeat(MIB - 80) })
  const bodies = [
    ...Object.entries({ ...CODINGS, br: brotliCompressSync }).map(([coding, pack]) => [coding, pack(Buffer.alloc(64 * MIB, ' '))]),
    [undefined, text],
    [undefined, '[' + '[],'.repeat(MIB / 4) + '0]'],
  ]
  for (const [coding, body] of bodies) {
    const hostile = await serverReplying(body, coding)
    for (const transport of ['fetch', 'native']) {
      const args = ['--input-type=module', '--eval', PEAK, transport, reply.base, hostile.base]
      // The least of three: a peak includes garbage that has not been collected yet.
      let least = Infinity
      for (let attempts = 0; attempts < 3 && least > 16 << 10; attempts++) {
        const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: new URL('.', import.meta.url) })
        const [code, grown] = stdout.trim().split(' ')
        assert.equal(code === 'none', body === text, `${coding} ${transport}: ${code}`)
        least = Math.min(least, Number(grown))
      }
      assert.ok(least <= 16 << 10, `${coding} ${transport}: ${least} KiB`)
    }
  }
})

const PEAK = `
import { readFileSync, writeFileSync } from 'node:fs'
import { Client, Server, run } from 'oauth-core'

const [transport, good, bad] = process.argv.slice(1)
const peak = () => Number(/VmHWM:\\s+(\\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))[1])

function requestToken(base) {
  const metadata = { issuer: base, token_endpoint: base + '/token' }
  const server = Server.fromMetadata(base, metadata, { transport: 'loopback_http' })
  const client = new Client(server, { clientId: 'id', clientSecret: 's' })
  return transport === 'fetch' ? run(client.exchange.clientCredentials()) : client.clientCredentials().token()
}

// The first call initializes the libraries, whose memory is not counted.
await requestToken(good)
writeFileSync('/proc/self/clear_refs', '5')
const before = peak()
const code = await requestToken(bad).then(() => 'none', (error) => error.code)
console.log(code, peak() - before)
`
