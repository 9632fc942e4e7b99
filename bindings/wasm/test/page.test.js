// Where calls cannot work: without a page, in an insecure context, without CORS headers, after a timeout or an abort.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { after, before, test } from 'node:test'
import * as web from '../js/index.js'
import { handle, loaded, signedIn, startWorld, toCallback } from './suite.js'
import { twins } from './world.js'

const harness = startWorld()
/** Servers that do not send CORS headers to the origin of the test page. */
let twinsWithoutCors
before(async () => (twinsWithoutCors = await twins('https://other.example')))
after(() => twinsWithoutCors?.close())
const records = JSON.parse(readFileSync(new URL('../../../tests/errors.json', import.meta.url), 'utf8'))

test('during server-side rendering, every call reports that there is no page', async () => {
  const config = { issuer: 'https://as.example', clientId: 'id', redirectUri: 'https://app.example/callback' }
  const missing = records.find(({ code }) => code === 'page.missing')
  for (const call of [web.signIn, web.handleCallback, web.restore]) {
    const error = await call(config).catch((error) => error)
    assert.ok(error instanceof web.MisuseError, String(error))
    assert.equal(error.code, missing.code)
    assert.equal(error.advice, missing.advice)
    assert.match(error.message, /^there is no page here: .* \[page\.missing\]$/)
  }
})

test('an insecure context is reported', async () => {
  const origin = 'http://app.internal'
  await harness.context.route(`${origin}/**`, async (route) => {
    const { pathname } = new URL(route.request().url())
    const reply = await fetch(harness.origin + pathname)
    const headers = { 'content-type': reply.headers.get('content-type') }
    await route.fulfill({ status: reply.status, headers, body: Buffer.from(await reply.arrayBuffer()) })
  })
  const page = await harness.context.newPage()
  await page.goto(origin)
  await loaded(page)
  assert.equal(await page.evaluate(() => isSecureContext), false)
  const config = { ...harness.configs.generic, redirectUri: `${origin}/callback` }
  for (const name of ['signIn', 'handleCallback', 'restore']) {
    const result = await page.evaluate(([name, config]) => told(web[name](config)), [name, config])
    assert.equal(result.code, 'page.insecure', name)
    assert.equal(result.name, 'MisuseError')
    assert.match(result.message, /http:\/\/app\.internal is not a secure context/)
  }
})

test('a response without CORS headers is reported as lost, with the likely cause', async () => {
  const { generic: closed } = twinsWithoutCors
  const config = { ...harness.configs.generic, issuer: closed, api: [closed] }
  const page = await harness.page()
  const discovered = await page.evaluate((config) => told(web.signIn(config)), config)
  const metadata = await (await fetch(`${closed}/.well-known/oauth-authorization-server`)).json()
  await toCallback(harness, page, { ...config, metadata })
  const redeemed = await handle(page, { ...config, metadata })
  const other = await signedIn(harness, { ...harness.configs.generic, api: [closed] })
  const called = await other.evaluate((url) => told(session.fetch(url)), `${closed}/api/echo`)
  for (const result of [discovered, redeemed, called]) {
    assert.equal(result.name, 'LostError')
    assert.equal(result.code, 'lost')
    assert.ok(result.cause.includes(`${harness.origin} read its replies (CORS)`), result.cause)
  }
  assert.match(redeemed.message, /the code may have been used/)
})

test('an unreadable error response is reported with its possible causes', async () => {
  // A token endpoint whose successful responses pages can read, but not its errors.
  let requestCount = 0
  const refusing = createServer((_, response) => {
    requestCount += 1
    response.writeHead(400, { 'content-type': 'application/json' }).end('{"error":"unauthorized_client"}')
  })
  await new Promise((done) => refusing.listen(0, '127.0.0.1', done))
  try {
    const { issuer } = harness.configs.generic
    const metadata = await (await fetch(`${issuer}/.well-known/oauth-authorization-server`)).json()
    metadata.token_endpoint = `http://127.0.0.1:${refusing.address().port}/token`
    const config = { ...harness.configs.generic, metadata }
    const page = await harness.page()
    await toCallback(harness, page, config)
    const { code, advice, message, cause } = await handle(page, config)
    assert.deepEqual([code, advice, requestCount], ['lost', 'reauthorize', 1])
    for (const words of ['(CORS)', 'the origin may not be registered for this client', 'the request was refused']) {
      assert.ok(cause.includes(words), cause)
    }
    assert.match(message, /the code may have been used, so start a new login/)
    // The flow is over: the code is not sent again.
    assert.deepEqual(await handle(page, config), { value: false })
    assert.equal(requestCount, 1)
  } finally {
    refusing.close()
  }
})

test('a timeout is reported as lost, and an abort as AbortError', async () => {
  const page = await harness.page()
  await toCallback(harness, page, harness.configs.generic)
  await page.route('**/token', () => {})
  const result = await handle(page, { ...harness.configs.generic, timeoutMs: 300 })
  assert.equal(result.code, 'lost.timeout')
  const other = await signedIn(harness, harness.configs.generic)
  const aborted = await other.evaluate(
    (url) => told(session.fetch(url, { signal: AbortSignal.abort() })),
    `${harness.twins.generic}/api/echo`,
  )
  assert.equal(aborted.name, 'AbortError')
})
