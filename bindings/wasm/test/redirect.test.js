// Authorization code with PKCE by redirect, against each server with public clients.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { handle, loaded, signedIn, startWorld, toCallback } from './suite.js'

const harness = startWorld({ oidc: true })
const call = (page, url) =>
  page.evaluate(async (url) => {
    const reply = await session.fetch(url)
    return { status: reply.status, body: await reply.json() }
  }, url)

test('a user signs in at the generic twin, and its API is called', async () => {
  const page = await signedIn(harness, harness.configs.generic, { scope: 'read write' })
  const url = `${harness.twins.generic}/api/echo`
  const reply = await page.evaluate(async (url) => {
    const reply = await session.fetch(url, { method: 'POST', body: 'hello' })
    return { status: reply.status, body: await reply.json(), scope: session.scope }
  }, url)
  assert.equal(reply.status, 200)
  assert.equal(reply.body.client_id, 'twin-public')
  assert.equal(reply.body.body, 'hello')
  assert.equal(reply.scope, 'read write')
})

test('a user signs in at the UserVoice twin with its preset', async () => {
  const page = await signedIn(harness, harness.configs.uservoice)
  const reply = await call(page, `${harness.twins.uservoice}/api/v2/end_users/me`)
  assert.equal(reply.status, 200)
  assert.equal(reply.body.users.length, 1)
  const end = await page.evaluate(() => String(session.expiresAt))
  assert.equal(end, 'undefined', 'the server named no lifetime')
})

test('the challenge_as_verifier option of UserVoice signs the user in', async () => {
  const config = { ...harness.configs.uservoice, options: ['challenge_as_verifier'] }
  const page = await signedIn(harness, config)
  const reply = await call(page, `${harness.twins.uservoice}/api/v2/end_users/me`)
  assert.equal(reply.status, 200)
})

test('a user signs in at oidc-provider, and tokens are renewed and revoked', async () => {
  const config = harness.configs.oidc
  const page = await signedIn(harness, config, { scope: 'openid offline_access', extra: { prompt: 'consent' } })
  const result = await page.evaluate(async () => {
    const first = await session.token()
    return {
      first: first.length > 20,
      idToken: session.idToken?.split('.').length,
      claims: [typeof session.claims.sub, session.claims.aud],
      end: session.expiresAt > new Date(),
    }
  })
  assert.deepEqual(result, { first: true, idToken: 3, claims: ['string', config.clientId], end: true })
  const later = await page.evaluate(async () => {
    const before = await session.token()
    // The token lives 60 seconds: after 56, it is within the renewal margin.
    const now = Date.now()
    Date.now = () => now + 56_000
    const after = await session.token()
    await session.revoke()
    return { renewed: before !== after, signedIn: session.signedIn }
  })
  assert.deepEqual(later, { renewed: true, signedIn: false })
})

test('oidc-provider returns the user’s claims and the end session URL', async () => {
  const config = harness.configs.oidc
  const page = await signedIn(harness, config, { scope: 'openid' })
  const result = await page.evaluate(async () => {
    const { sub } = session.claims
    const about = await session.userinfo()
    const url = session.endSessionUrl({ postLogoutRedirectUri: `${location.origin}/bye`, state: 's' })
    const { client_id: id, id_token_hint: hint, ...rest } = Object.fromEntries(url.searchParams)
    return { isSame: about.sub === sub, origin: url.origin, id, hint: hint === session.idToken, rest, here: location.origin }
  })
  const { here: pagePath, ...claims } = result
  assert.deepEqual(claims, {
    isSame: true,
    origin: new URL(config.issuer).origin,
    id: config.clientId,
    hint: true,
    rest: { post_logout_redirect_uri: `${pagePath}/bye`, state: 's' },
  })
})

test('UserInfo about another user is rejected', async () => {
  const page = await signedIn(harness, harness.configs.generic, { scope: 'openid profile' })
  const userinfo = await page.evaluate(async () => {
    const { name } = await session.userinfo()
    const real = globalThis.fetch
    globalThis.fetch = async (url, init) => {
      if (!String(url).endsWith('/userinfo')) return real(url, init)
      return new Response('{"sub":"another"}', { headers: { 'content-type': 'application/json' } })
    }
    const code = await session.userinfo().catch((error) => error.code)
    globalThis.fetch = real
    await session.revoke()
    return { name, code, over: await session.userinfo().catch((error) => error.code) }
  })
  assert.deepEqual(userinfo, { name: 'Alice Liddell', code: 'userinfo.subject', over: 'grant.no_refresh_token' })
})

test('configured metadata replaces discovery', async () => {
  const metadata = await (await fetch(`${harness.twins.generic}/.well-known/oauth-authorization-server`)).json()
  const page = await signedIn(harness, { ...harness.configs.generic, metadata })
  assert.equal((await call(page, `${harness.twins.generic}/api/echo`)).status, 200)
})

test('after the login, storage is empty and the URL has no code', async () => {
  const page = await harness.page()
  await toCallback(harness, page, harness.configs.generic)
  assert.match(page.url(), /[?&]code=/)
  assert.equal(await page.evaluate(() => sessionStorage.length), 1, 'the flow waits in this tab')
  assert.equal((await handle(page, harness.configs.generic)).value, true)
  assert.equal(page.url(), harness.configs.generic.redirectUri)
  const storageCounts = await page.evaluate(async () => ({
    session: sessionStorage.length,
    local: localStorage.length,
    cookies: document.cookie,
    databases: (await indexedDB.databases()).length,
    caches: (await caches.keys()).length,
  }))
  assert.deepEqual(storageCounts, { session: 0, local: 0, cookies: '', databases: 0, caches: 0 })
})

test('no history entry contains the code', async () => {
  const page = await signedIn(harness, harness.configs.generic)
  const cdp = await harness.context.newCDPSession(page)
  const { entries } = await cdp.send('Page.getNavigationHistory')
  assert.ok(entries.every(({ url }) => !url.includes('code=')), JSON.stringify(entries))
})

test('only a session in sessionStorage survives a reload', async () => {
  const config = { ...harness.configs.generic, storage: 'session', tabs: false }
  const page = await signedIn(harness, config)
  const restored = (config) =>
    page.evaluate((config) => web.restore(config).then((session) => session !== null), config)
  await page.reload()
  await loaded(page)
  assert.equal(await restored({ ...config, storage: 'memory' }), false)
  assert.equal(await restored(config), true)
  await page.evaluate(async (config) => (await web.restore(config)).signOut(), config)
  assert.equal(await page.evaluate(() => sessionStorage.length), 0)
})

test('each sign-in has its own S256 challenge, state and nonce', async () => {
  await signedIn(harness, harness.configs.generic, { scope: 'openid' })
  await signedIn(harness, harness.configs.generic, { scope: 'openid' })
  const log = await harness.generic.log()
  const authorizeQueries = log.filter(({ path }) => path === '/authorize').map(({ query }) => Object.fromEntries(query))
  const last = authorizeQueries.slice(-2)
  assert.ok(last.every((query) => query.code_challenge_method === 'S256' && query.code_challenge.length === 43))
  assert.ok(last.every((query) => query.state.length === 43 && !('code_verifier' in query)))
  assert.notEqual(last[0].code_challenge, last[1].code_challenge)
  assert.notEqual(last[0].state, last[1].state)
  assert.ok(last.every((query) => query.nonce.length === 43))
  assert.notEqual(last[0].nonce, last[1].nonce)
})

test('the observer receives each step without secrets', async () => {
  const page = await harness.page()
  await toCallback(harness, page, harness.configs.generic)
  const result = await page.evaluate(async (config) => {
    const seen = []
    const session = await web.handleCallback({ ...config, observe: (event) => seen.push(event) })
    return { seen, token: await session.token() }
  }, harness.configs.generic)
  const kinds = result.seen.map(({ kind }) => kind)
  assert.deepEqual(kinds, ['callback', 'request', 'response'])
  const text = JSON.stringify(result.seen)
  assert.ok(!text.includes(result.token))
  assert.equal(result.seen[1].parameters.code_verifier, '[redacted]')
  assert.equal(result.seen[1].parameters.grant_type, 'authorization_code')
  assert.equal(result.seen[2].members.access_token, '[redacted]')
  assert.equal(result.seen[2].members.expires_in, '3600')
})
