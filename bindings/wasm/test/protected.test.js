// Pushed requests, signed responses, and step-up challenges of APIs.

import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import { handle, loaded, startWorld, toCallback } from './suite.js'

const harness = startWorld({ oidc: true, script: 'fapi.mjs' })

/** The URLs of the server's login page, as they are opened. */
function opened() {
  const urls = []
  harness.context.on('request', (request) => {
    const url = new URL(request.url())
    if (url.pathname === '/auth') urls.push(url)
  })
  return urls
}

test('a pushed request gets a signed response in each response mode', async () => {
  const urls = opened()
  for (const responseMode of ['jwt', 'query.jwt', 'fragment.jwt']) {
    const config = { ...harness.configs.oidc, responseMode, profile: 'oauth21' }
    const page = await harness.page()
    const signInOptions = { scope: 'openid', push: 'always', maxAge: 600, uiLocales: ['de', 'en'], claims: { id_token: { auth_time: null } } }
    await toCallback(harness, page, config, signInOptions)
    const { hash, search } = new URL(page.url())
    const responseParameters = new URLSearchParams(responseMode === 'fragment.jwt' ? hash.slice(1) : search)
    assert.deepEqual([...responseParameters.keys()], ['response'])
    assert.deepEqual(await handle(page, config), { value: true })
    assert.equal(page.url(), config.redirectUri)
    assert.equal(await page.evaluate(() => session.claims.sub), 'somebody')
  }
  for (const url of urls) assert.deepEqual([...url.searchParams.keys()], ['client_id', 'request_uri'])
  assert.equal(urls.length, 3)
})

test('a malformed signed response is rejected, and the flow continues', async () => {
  const config = { ...harness.configs.oidc, responseMode: 'jwt' }
  const page = await harness.page()
  await toCallback(harness, page, config, { scope: 'openid', push: 'always' })
  const responseUrl = page.url()
  const wrong = responseUrl.replace(/response=.*/, 'response=a.b.c')
  await page.evaluate((url) => history.replaceState(null, '', url), wrong)
  assert.equal((await handle(page, config)).code, 'jws.malformed')
  await page.evaluate((url) => history.replaceState(null, '', url), responseUrl)
  assert.deepEqual(await handle(page, config), { value: true })
})

test('a request with a known problem has warnings', async () => {
  const { issuer } = harness.configs.oidc
  const metadata = await (await fetch(`${issuer}/.well-known/openid-configuration`)).json()
  // The server takes no permissions in detail without one.
  const resource = ['https://one.example/']
  const config = { ...harness.configs.oidc, resource, metadata: { ...metadata, acr_values_supported: ['mfa', 'phr'] } }
  const seen = []
  await harness.context.exposeFunction('shown', (event) => void seen.push(event))
  const warnings = async (signInOptions) => {
    const page = await harness.page()
    // Whatever is wrong with it, it is made.
    const made = page.waitForRequest((request) => new URL(request.url()).pathname === '/auth')
    await page.evaluate(
      ([config, signInOptions]) => void web.signIn({ ...config, observe: shown }, { scope: 'openid', ...signInOptions }),
      [config, signInOptions],
    )
    await made
    return seen.splice(0).find(({ kind }) => kind === 'authorize').warnings
  }
  const authorizationDetails = [{ type: 'payment', actions: ['initiate'] }]
  assert.deepEqual(await warnings({ acrValues: ['gold'] }), ['acr_values_unsupported'])
  assert.deepEqual(await warnings({ acrValues: ['gold', 'phr'] }), [])
  assert.deepEqual(await warnings({ authorizationDetails }), ['authorization_details_unprotected'])
  assert.deepEqual(await warnings({ authorizationDetails, push: 'always' }), [])
  const both = { acrValues: ['gold'], authorizationDetails }
  assert.deepEqual(await warnings(both), ['acr_values_unsupported', 'authorization_details_unprotected'])
})

test('authorization details without a type are rejected', async () => {
  const page = await harness.page()
  const result = await page.evaluate(
    (config) => web.signIn(config, { authorizationDetails: [{ actions: ['read'] }] }).catch((error) => error.code),
    harness.configs.oidc,
  )
  assert.equal(result, 'authorization_details.malformed')
})

test('a security profile refuses requests that it forbids', async () => {
  const page = await harness.page()
  const requests = []
  harness.context.on('request', (request) => requests.push(new URL(request.url()).pathname))
  const signInError = (profile) => page.evaluate(
    ([config, profile]) => web.signIn({ ...config, profile }).catch(({ code, kind, message }) => ({ code, kind, message })),
    [{ ...harness.configs.oidc, dpop: true }, profile],
  )
  for (const profile of ['fapi2_security', 'fapi2_message_signing']) {
    const { message, ...details } = await signInError(profile)
    // A page has no key that a server knows.
    assert.deepEqual(details, { code: 'profile.forbidden', kind: 'misuse' })
    assert.match(message, /FAPI 2\.0 Security Profile section 5\.3\.3\.1.*private_key_jwt or mutual TLS/)
  }
  const unknown = await signInError('fapi')
  assert.equal(unknown.code, 'argument.invalid')
  assert.match(unknown.message, /oauth21, strict/)
  // Nobody was asked but for the server's metadata.
  assert.deepEqual(requests.filter((path) => /\/(auth|request|token)$/.test(path)), [])
})

test('the step-up that an API requires is requested', async () => {
  const urls = opened()
  const page = await harness.page()
  const requiredStepUp = await page.evaluate(() => {
    const challenge = 'Bearer error="insufficient_user_authentication", acr_values="urn:mfa", max_age="0", scope="read"'
    const reply = (text) => new Response(null, { status: 401, headers: { 'www-authenticate': text } })
    return Promise.all([challenge, 'Bearer error="invalid_token"'].map((text) => web.stepUp(reply(text))))
  })
  assert.deepEqual(requiredStepUp, [{ acr_values: ['urn:mfa'], max_age: 0, scope: 'read' }, undefined])
  const client = { ...harness.configs.oidc, clientId: 'public' }
  await page.evaluate(([config, stepUp]) => void web.signIn(config, { scope: 'openid', stepUp }), [client, requiredStepUp[0]])
  await page.waitForRequest((request) => new URL(request.url()).pathname === '/auth')
  const query = Object.fromEntries(urls[0].searchParams)
  assert.deepEqual([query.acr_values, query.max_age, query.scope], ['urn:mfa', '0', 'openid read'])
})

test('a requirement that a login was made for is not requested again', async () => {
  const page = await harness.page()
  const config = bound()
  const stepUp = { scope: 'openid' }
  await toCallback(harness, page, config, { scope: 'openid', stepUp })
  assert.deepEqual(await handle(page, config), { value: true })
  const result = await page.evaluate(([config, stepUp]) => {
    const signInOptions = { scope: 'openid', stepUp, session }
    return web.signIn(config, signInOptions).catch((error) => error.code)
  }, [config, stepUp])
  assert.equal(result, 'step_up.repeated')
  // Something else may be, with what was granted.
  const urls = opened()
  const more = { acr_values: ['urn:mfa'] }
  await page.evaluate(([config, stepUp]) => void web.signIn(config, { scope: '', stepUp, session }), [config, more])
  await page.waitForRequest((request) => new URL(request.url()).pathname === '/auth')
  const query = Object.fromEntries(urls[0].searchParams)
  assert.deepEqual([query.acr_values, query.scope], ['urn:mfa', 'openid'])
})

test('repeated step-up requirements end with an error', async () => {
  const page = await harness.page()
  const config = bound()
  await toCallback(harness, page, config, { scope: 'openid' })
  assert.deepEqual(await handle(page, config), { value: true })
  const stepUpTo = (acr) => page.evaluate(([config, acr]) => {
    const signInOptions = { scope: 'openid', stepUp: { acr_values: [acr] }, session }
    return web.signIn(config, signInOptions).catch((error) => error.code)
  }, [config, acr])
  for (const acr of ['phr', 'mfa', 'phr', 'mfa', 'phr']) {
    const before = page.url()
    // The page is gone before it could say so.
    stepUpTo(acr).catch(() => {})
    await page.waitForURL((url) => url.pathname === '/callback' && url.href !== before)
    await loaded(page)
    assert.deepEqual(await handle(page, config), { value: true })
  }
  assert.equal(await stepUpTo('mfa'), 'step_up.limit')
})

/** What goes to the server and to the API, with its proof taken apart. */
function proofs() {
  const seen = []
  const part = (text) => JSON.parse(Buffer.from(text, 'base64url'))
  harness.context.on('request', (request) => {
    const { dpop, authorization } = request.headers()
    if (dpop === undefined) return
    const [header, claims] = dpop.split('.')
    seen.push({ url: request.url(), authorization, header: part(header), claims: part(claims) })
  })
  return seen
}

const bound = () => ({ ...harness.configs.oidc, clientId: 'public', dpop: true, storage: 'session' })
const me = (page, config) =>
  page.evaluate((url) => session.fetch(url).then((reply) => reply.json()).then(({ sub }) => sub), `${config.issuer}/me`)

test('tokens are bound to a non-extractable WebCrypto key', async () => {
  const urls = opened()
  const seen = proofs()
  const config = bound()
  const page = await harness.page()
  await toCallback(harness, page, config, { scope: 'openid offline_access' })
  assert.deepEqual(await handle(page, config), { value: true })
  assert.equal(await me(page, config), 'somebody')
  assert.equal(await page.evaluate(() => session.userinfo().then(({ sub }) => sub)), 'somebody')
  // The nonces of both sides were asked for once, and kept.
  const to = (end) => seen.filter(({ url }) => url.endsWith(end))
  assert.equal(to('/token').length, 2)
  assert.equal(to('/me').length, 3)
  const { jwk } = seen[0].header
  for (const { header, claims, url } of seen) {
    assert.deepEqual([header.alg, header.typ, header.jwk, claims.htu], ['ES256', 'dpop+jwt', jwk, url])
  }
  assert.equal(new Set(seen.map(({ claims }) => claims.jti)).size, seen.length)
  for (const { authorization, claims } of to('/me')) {
    const token = authorization.slice('DPoP '.length)
    assert.equal(claims.ath, createHash('sha256').update(token).digest('base64url'))
  }
  const required = { crv: jwk.crv, kty: jwk.kty, x: jwk.x, y: jwk.y }
  const jkt = createHash('sha256').update(JSON.stringify(required)).digest('base64url')
  assert.equal(urls[0].searchParams.get('dpop_jkt'), jkt)
  // A stolen token is useless, and the key cannot be exported.
  const stolen = await page.evaluate(async (url) => {
    const token = await session.token()
    const replies = ['Bearer', 'DPoP'].map((scheme) => fetch(url, { headers: { authorization: `${scheme} ${token}` } }))
    return (await Promise.all(replies)).map(({ status }) => status)
  }, `${config.issuer}/me`)
  // DPoP without a proof is a bad request.
  assert.deepEqual(stolen, [401, 400])
  const exported = await page.evaluate(async () => {
    const open = indexedDB.open('oauth-core')
    const done = (request) => new Promise((resolve) => (request.onsuccess = () => resolve(request.result)))
    const keys = await done((await done(open)).transaction('keys').objectStore('keys').getAll())
    return Promise.all(keys.map(({ privateKey }) => crypto.subtle.exportKey('jwk', privateKey).catch(({ name }) => name)))
  })
  assert.deepEqual(exported, ['InvalidAccessError'])
})

test('each nonce change costs one extra request', async () => {
  const seen = proofs()
  const config = bound()
  const page = await harness.page()
  await toCallback(harness, page, config, { scope: 'openid offline_access' })
  assert.deepEqual(await handle(page, config), { value: true })
  assert.equal(await me(page, config), 'somebody')
  const control = async (what) =>
    assert.equal((await fetch(`${config.issuer}/_${what}`, { method: 'POST' })).status, 204)
  const sent = async (end, work) => {
    const count = () => seen.filter(({ url }) => url.endsWith(end)).length
    const before = count()
    await work()
    return count() - before
  }
  await control('nonces')
  assert.equal(await sent('/me', async () => assert.equal(await me(page, config), 'somebody')), 2)
  assert.equal(await sent('/me', async () => assert.equal(await me(page, config), 'somebody')), 1)
  // So it is at the token endpoint, which has others: the token has ended, and several ask for it at once.
  await control('expire')
  const several = () => page.evaluate(async (url) => {
    const replies = await Promise.all(Array.from({ length: 50 }, () => session.fetch(url)))
    return replies.map(({ status }) => status)
  }, `${config.issuer}/me`)
  assert.equal(await sent('/token', async () => assert.deepEqual(new Set(await several()), new Set([200]))), 2)
})

test('nonces are kept across a reload', async () => {
  const seen = proofs()
  const config = bound()
  const page = await harness.page()
  const control = async (what) =>
    assert.equal((await fetch(`${config.issuer}/_${what}`, { method: 'POST' })).status, 204)
  const to = (end) => seen.filter(({ url }) => url.endsWith(end)).length
  await toCallback(harness, page, config, { scope: 'openid offline_access' })
  assert.deepEqual(await handle(page, config), { value: true })
  assert.equal(await me(page, config), 'somebody')
  // A renewal stores what is known of the API by now.
  await control('expire')
  assert.equal(await me(page, config), 'somebody')
  await page.reload()
  await loaded(page)
  seen.length = 0
  const restored = (config) => web.restore(config).then((session) => ((globalThis.session = session), !!session))
  assert.equal(await page.evaluate(restored, config), true)
  assert.equal(await me(page, config), 'somebody')
  assert.deepEqual([to('/me'), to('/token')], [1, 0])
  await control('expire')
  assert.equal(await me(page, config), 'somebody')
  // The refused token, the renewal, the new one: none is asked for a nonce.
  assert.deepEqual([to('/me'), to('/token')], [3, 1])
  assert.ok(seen.every(({ claims }) => claims.nonce))
})

test('a reloaded page and other tabs share the DPoP key', async () => {
  const seen = proofs()
  const config = bound()
  const page = await harness.page()
  await toCallback(harness, page, config, { scope: 'openid offline_access' })
  assert.deepEqual(await handle(page, config), { value: true })
  await page.reload()
  await loaded(page)
  const restored = (config) => web.restore(config).then((session) => ((globalThis.session = session), !!session))
  assert.equal(await page.evaluate(restored, config), true)
  assert.equal(await me(page, config), 'somebody')
  const tabs = [await harness.page(), await harness.page()]
  const all = await Promise.all(tabs.map((tab) => tab.evaluate(restored, { ...config, storage: 'memory' })))
  assert.deepEqual(all, [true, true])
  assert.deepEqual(await Promise.all(tabs.map((tab) => me(tab, config))), ['somebody', 'somebody'])
  assert.equal(new Set(seen.map(({ header }) => header.jwk.x)).size, 1)
})

test('a key pair of the page signs proofs', async () => {
  const seen = proofs()
  const config = { ...bound(), dpop: undefined }
  const page = await harness.page('/callback')
  const result = await page.evaluate(async (config) => {
    const pair = await crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign'])
    const rsa = { ...pair, publicKey: undefined, privateKey: pair.privateKey }
    const refused = await web.signIn({ ...config, dpop: rsa }).catch((error) => error.name)
    void web.signIn({ ...config, dpop: pair }, { scope: 'openid', push: 'always' })
    return refused
  }, config)
  assert.equal(result, 'TypeError')
  await page.waitForRequest((request) => new URL(request.url()).pathname === '/auth')
  assert.deepEqual(seen.map(({ url }) => new URL(url).pathname), ['/request', '/request'])
})
