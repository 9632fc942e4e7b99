// Rejected callbacks, settings and responses, and what remains of the flow.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { handle, loaded, signedIn, startWorld, toCallback } from './suite.js'

const harness = startWorld()
const waiting = (page) => page.evaluate(() => sessionStorage.length)
/** What `web.signIn` says before it leaves the page. */
const refusal = (page, config) => page.evaluate((config) => told(web.signIn(config)), config)

test('a callback with a foreign state is rejected, and the flow continues', async () => {
  const page = await harness.page()
  await harness.generic.fault({ name: 'foreign_state_in_callback' })
  const authorize = page.waitForRequest((request) => request.url().includes('/authorize?'))
  await toCallback(harness, page, harness.configs.generic)
  const result = await handle(page, harness.configs.generic)
  assert.equal(result.code, 'callback.state')
  assert.equal(result.name, 'UntrustedError')
  assert.equal(await waiting(page), 1, 'the flow is kept')
  assert.equal(page.url(), harness.configs.generic.redirectUri, 'the foreign code is not left in the address')
  await page.goto((await authorize).url())
  await loaded(page)
  assert.equal((await handle(page, harness.configs.generic)).value, true)
  assert.equal(await waiting(page), 0)
})

test('a wrongly typed setting is a TypeError, and the module stays usable', async () => {
  const page = await harness.page()
  const refused = await page.evaluate(async (config) => {
    const errorName = (work) => work().then(() => 'nothing', (error) => error.constructor.name)
    return [
      await errorName(() => web.restore({ ...config, clientId: 5 })),
      await errorName(() => web.restore({ ...config, redirectUri: new URL(config.redirectUri) })),
      await errorName(() => web.signIn(config, { mode: 'popup', returnTo: new URL(location.href) })),
      await errorName(() => web.restore(config)),
    ]
  }, harness.configs.generic)
  assert.deepEqual(refused, ['TypeError', 'TypeError', 'TypeError', 'nothing'])
})

test('an unknown setting or option is reported by name', async () => {
  const page = await harness.page()
  const result = await page.evaluate(async (config) => {
    const of = (work) => work().then(() => 'nothing', (error) => `${error.constructor.name} ${error.message}`)
    return [
      await of(() => web.signIn({ ...config, storge: 'session' })),
      await of(() => web.restore({ ...config, timeoutMS: 1 })),
      await of(() => web.signIn(config, { scopes: 'read' })),
      await of(() => web.signIn(config, { maxage: 60 })),
      await of(() => web.restore(config)),
    ]
  }, harness.configs.generic)
  assert.match(result[0], /^TypeError storge: there is no such setting; there are provider, .*, storage, /)
  assert.equal(result[1], 'TypeError timeoutMS: there is no such setting; perhaps timeoutMs')
  assert.match(result[2], /^TypeError scopes: there is no such option of a sign-in; there are mode, .*, scope, /)
  assert.equal(result[3], 'TypeError maxage: there is no such option of a sign-in; perhaps maxAge')
  assert.equal(result[4], 'nothing')
})

test('an unexpected callback is rejected', async () => {
  const page = await harness.page('/callback?code=stolen&state=made-up')
  const result = await handle(page, harness.configs.generic)
  assert.equal(result.code, 'callback.state')
})

test('a callback of another issuer is rejected, and the flow ends', async () => {
  const page = await harness.page()
  await harness.generic.fault({ name: 'wrong_issuer_in_callback' })
  await toCallback(harness, page, harness.configs.generic)
  const before = await harness.generic.counters()
  const result = await handle(page, harness.configs.generic)
  assert.equal(result.code, 'callback.issuer')
  assert.equal(result.name, 'UntrustedError')
  assert.equal(await waiting(page), 0)
  const after = await harness.generic.counters()
  assert.equal(after.token_requests, before.token_requests, 'the code goes nowhere')
})

test('an ID token with a flaw is rejected', async () => {
  for (const [flaw, name, code] of [
    ['missing', 'MalformedError', 'id_token.missing'],
    ['wrong_issuer', 'UntrustedError', 'jwt.issuer'],
    ['wrong_audience', 'UntrustedError', 'jwt.audience'],
    ['wrong_nonce', 'UntrustedError', 'id_token.nonce'],
    ['wrong_access_token_hash', 'UntrustedError', 'id_token.at_hash'],
    ['broken_signature', 'UntrustedError', 'jws.bad_signature'],
    ['unsigned', 'UntrustedError', 'jws.alg_not_allowed'],
  ]) {
    const page = await harness.page()
    await toCallback(harness, page, harness.configs.generic, { scope: 'openid' })
    await harness.generic.fault({ name: 'id_token', flaw })
    // The document and the keys are fetched before the token is read: the fault is for the reply that has one.
    const result = await handle(page, harness.configs.generic)
    assert.deepEqual([result.name, result.code], [name, code], flaw)
    await page.close()
  }
})

test('a callback can be used only once', async () => {
  const page = await harness.page()
  await toCallback(harness, page, harness.configs.generic)
  const callback = page.url()
  assert.equal((await handle(page, harness.configs.generic)).value, true)
  await page.goto(callback)
  await loaded(page)
  assert.equal((await handle(page, harness.configs.generic)).code, 'callback.state')
})

test('two concurrent calls redeem the code once and return the same session', async () => {
  const page = await harness.page()
  await toCallback(harness, page, harness.configs.generic)
  const before = await harness.generic.counters()
  const same = await page.evaluate(async (config) => {
    const [first, second] = await Promise.all([web.handleCallback(config), web.handleCallback(config)])
    return first.signedIn && first === second
  }, harness.configs.generic)
  assert.equal(same, true)
  const after = await harness.generic.counters()
  assert.equal(after.token_requests - before.token_requests, 1)
})

test('another tab cannot take over the flow', async () => {
  const page = await harness.page()
  await toCallback(harness, page, harness.configs.generic)
  const other = await harness.page(new URL(page.url()).pathname + new URL(page.url()).search)
  assert.equal((await handle(other, harness.configs.generic)).code, 'callback.state')
})

test('the user denies the request', async () => {
  const page = await harness.page()
  await harness.generic.deny()
  await toCallback(harness, page, harness.configs.generic)
  const result = await handle(page, harness.configs.generic)
  assert.equal(result.code, 'denied.access_denied')
  assert.equal(result.name, 'DeniedError')
  assert.equal(await waiting(page), 0)
})

test('a client secret is rejected, for each preset with its reason', async () => {
  const page = await harness.page()
  const names = await page.evaluate(() => web.providers)
  assert.ok(names.length >= 14)
  const reasons = new Set()
  for (const provider of names) {
    const config = { provider, clientId: 'id', clientSecret: 'secret', redirectUri: harness.configs.generic.redirectUri }
    const result = await refusal(page, config)
    assert.equal(result.code, 'client_auth.secret_not_allowed', `${provider}: ${result.message}`)
    assert.equal(result.name, 'MisuseError')
    assert.match(result.message, /secret/)
    assert.ok(!result.message.includes('"secret"'))
    reasons.add(result.message)
  }
  assert.ok(reasons.size >= 7, 'the reasons differ')
  assert.equal(await waiting(page), 0)
})

test('a client secret is rejected without a preset, before any request', async () => {
  const page = await harness.page()
  const before = (await harness.generic.log()).length
  const result = await refusal(page, { ...harness.configs.generic, clientSecret: 'secret' })
  assert.equal(result.code, 'client_auth.secret_not_allowed')
  assert.match(result.message, /everyone who opens the page could read it/)
  assert.equal((await harness.generic.log()).length, before)
})

test('a preset without public clients is rejected', async () => {
  const page = await harness.page()
  const { redirectUri } = harness.configs.generic
  const result = await refusal(page, { provider: 'socios', clientId: 'id', redirectUri })
  assert.equal(result.code, 'client_auth.required')
})

test('a subdomain must be one DNS label', async () => {
  const page = await harness.page()
  for (const subdomain of ['evil.example/', 'a.b', '', 'a@b', '{subdomain}', 'a#']) {
    const result = await refusal(page, { ...harness.configs.uservoice, variables: { subdomain } })
    assert.equal(result.code, 'provider.variable', subdomain)
  }
  const unknown = await refusal(page, { ...harness.configs.uservoice, variables: { tenant: 'acme' } })
  assert.equal(unknown.code, 'provider.variable')
  const moved = await refusal(page, { ...harness.configs.uservoice, loopback: 'https://evil.example' })
  assert.equal(moved.code, 'url.insecure')
  const nobody = await refusal(page, { ...harness.configs.uservoice, provider: 'toString' })
  assert.equal(nobody.code, 'provider.unknown')
})

test('plain HTTP is allowed only for loopback, and only if enabled', async () => {
  const page = await harness.page()
  const result = await refusal(page, { ...harness.configs.generic, loopback: false })
  assert.equal(result.code, 'issuer.not_https')
})

test('a redirect of the token endpoint is rejected and not followed', async () => {
  const page = await harness.page()
  await toCallback(harness, page, harness.configs.generic)
  const other = `${harness.twins.uservoice}/elsewhere`
  const before = (await harness.uservoice.log()).length
  await harness.generic.fault({ name: 'redirect_to', location: other, status: 307 })
  const result = await handle(page, harness.configs.generic)
  assert.equal(result.code, 'reply.redirect')
  assert.equal((await harness.uservoice.log()).length, before)
})

test('a 50 MB response is rejected', async () => {
  const page = await harness.page()
  await toCallback(harness, page, harness.configs.generic)
  await harness.generic.fault({ name: 'oversized_json', bytes: 50_000_000 })
  const start = Date.now()
  const result = await handle(page, harness.configs.generic)
  assert.equal(result.code, 'reply.too_large')
  assert.ok(Date.now() - start < 10_000)
})

test('a gzip bomb is rejected', async () => {
  const page = await harness.page()
  await toCallback(harness, page, harness.configs.generic)
  await harness.generic.fault({ name: 'gzip_bomb', expanded: 1 << 30 })
  assert.equal((await handle(page, harness.configs.generic)).code, 'reply.too_large')
})

test('a lost response is reported as lost', async () => {
  const page = await harness.page()
  await toCallback(harness, page, harness.configs.generic)
  // Not the twin's fault of this name: Chromium by itself repeats a request whose reused connection
  // was closed without a byte.
  await page.route('**/token', (route) => route.abort())
  const result = await handle(page, harness.configs.generic)
  assert.equal(result.name, 'LostError')
})

test('malformed responses are rejected', async () => {
  for (const [fault, code] of [
    ['html', 'reply.content_type'],
    ['truncated_json', 'reply.json'],
    ['duplicate_member', 'reply.duplicate_member'],
    ['nested_json', 'reply.nesting'],
  ]) {
    const page = await harness.page()
    await toCallback(harness, page, harness.configs.generic)
    await harness.generic.fault({ name: fault })
    assert.equal((await handle(page, harness.configs.generic)).code, code, fault)
    await page.close()
  }
})

test('a token is sent to the allowed origins only, and never in a URL', async () => {
  const page = await signedIn(harness, harness.configs.generic)
  const fetched = (url, init) =>
    page.evaluate(([url, init]) => told(session.fetch(url, init)), [url, init])
  const before = (await harness.uservoice.log()).length
  const elsewhere = await fetched(`${harness.twins.uservoice}/api/v2/end_users/me`)
  assert.equal(elsewhere.code, 'resource.origin_not_allowed')
  assert.equal((await harness.uservoice.log()).length, before)
  const twice = await fetched(`${harness.twins.generic}/api/echo`, { headers: { authorization: 'Bearer x' } })
  assert.equal(twice.code, 'token.more_than_one_method')
  const inUrl = await fetched(`${harness.twins.generic}/api/echo?access_token=x`)
  assert.equal(inUrl.code, 'token.in_query')
})

test('a redirect of the API is not followed with the token', async () => {
  const page = await signedIn(harness, harness.configs.generic)
  const before = (await harness.uservoice.log()).length
  await harness.generic.fault({ name: 'redirect_to', location: `${harness.twins.uservoice}/x`, status: 307 })
  const result = await page.evaluate((url) => told(session.fetch(url)), `${harness.twins.generic}/api/echo`)
  assert.equal(result.code, 'reply.redirect')
  assert.equal((await harness.uservoice.log()).length, before)
})
