// Bodies of requests to an API that demands a nonce (RFC 9449 section 9): what is at hand is sent again with the nonce,
// a stream is sent once, and the refusal is the caller's.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createSecureServer } from 'node:http2'
import { after, before, beforeEach, test } from 'node:test'
import { handle, startWorld, toCallback } from './suite.js'

const harness = startWorld({ oidc: true, script: 'fapi.mjs' })
const tls = JSON.parse(readFileSync(new URL('../../../tests/interop/oidc-provider/tls.json', import.meta.url), 'utf8'))

/** The nonce of the moment, and what came: the nonces of proofs, and bodies. */
const api = { nonce: 'first', seen: [] }

const readNonce = (proof) => JSON.parse(Buffer.from(proof.split('.')[1], 'base64url')).nonce

async function handleRequest(request, response) {
  const cors = {
    'access-control-allow-origin': harness.origin,
    'access-control-allow-headers': 'authorization, content-type, dpop',
    'access-control-expose-headers': 'dpop-nonce, www-authenticate',
  }
  if (request.method === 'OPTIONS') return response.writeHead(204, cors).end()
  const parts = []
  for await (const part of request) parts.push(part)
  const nonce = readNonce(request.headers.dpop)
  api.seen.push([nonce, Buffer.concat(parts).toString()])
  if (nonce === api.nonce) return response.writeHead(200, cors).end('{}')
  const challenge = { 'dpop-nonce': api.nonce, 'www-authenticate': 'DPoP error="use_dpop_nonce"' }
  response.writeHead(401, { ...cors, ...challenge }).end()
}

// Chromium streams bodies over HTTP/2 only.
const server = createSecureServer({ key: tls.key, cert: tls.cert }, handleRequest)
before(async () => {
  await new Promise((done) => server.listen(0, '127.0.0.1', done))
  api.origin = `https://127.0.0.1:${server.address().port}`
})
after(() => server.close())
beforeEach(async () => {
  await harness.context.close()
  harness.context = await harness.browser.newContext({ ignoreHTTPSErrors: true })
  harness.context.setDefaultTimeout(20_000)
})

async function signedIn() {
  const config = { ...harness.configs.oidc, clientId: 'public', dpop: true, api: [api.origin] }
  const page = await harness.page()
  await toCallback(harness, page, config, { scope: 'openid' })
  assert.deepEqual(await handle(page, config), { value: true })
  return page
}

/** Sends a body of this kind; the status, or the code of the error. */
const post = (page, kind) => page.evaluate(([url, kind]) => {
  const made = {
    text: () => 'hello',
    bytes: () => new TextEncoder().encode('hello'),
    blob: () => new Blob(['hello']),
    stream: () => new Blob(['hello']).stream(),
  }
  const init = { method: 'POST', ...(kind === 'stream' && { duplex: 'half' }) }
  const inputValue = kind === 'request'
    ? session.fetch(new Request(url, { ...init, body: 'hello' }))
    : session.fetch(url, { ...init, body: made[kind]() })
  return inputValue.then(({ status }) => status, (error) => error.code ?? String(error))
}, [`${api.origin}/things`, kind])

test('a body in memory is resent with the nonce', async () => {
  const page = await signedIn()
  let formerNonce
  for (const kind of ['text', 'bytes', 'blob', 'request']) {
    Object.assign(api, { nonce: `of-${kind}`, seen: [] })
    assert.equal(await post(page, kind), 200, kind)
    assert.deepEqual(api.seen, [[formerNonce, 'hello'], [api.nonce, 'hello']], kind)
    formerNonce = api.nonce
  }
})

test('a stream is sent once, and its 401 is returned', async () => {
  const page = await signedIn()
  Object.assign(api, { nonce: 'of-stream', seen: [] })
  assert.equal(await post(page, 'stream'), 401)
  assert.deepEqual(api.seen, [[undefined, 'hello']])
  // The nonce was learnt all the same: the next stream has it at once.
  assert.equal(await post(page, 'stream'), 200)
  assert.deepEqual(api.seen.slice(1), [['of-stream', 'hello']])
})
