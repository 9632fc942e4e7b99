// Requests that are handed over first, responses that are signed, and what an API wants of the person.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { handle, toCallback, world } from './suite.js'

const us = world({ oidc: true, script: 'fapi.mjs' })

/** The URLs of the server's login page, as they are opened. */
function opened() {
  const urls = []
  us.context.on('request', (request) => {
    const url = new URL(request.url())
    if (url.pathname === '/auth') urls.push(url)
  })
  return urls
}

test('a request is pushed where the client wants it, and the answer is signed', async () => {
  const urls = opened()
  for (const responseMode of ['jwt', 'query.jwt', 'fragment.jwt']) {
    const config = { ...us.configs.oidc, responseMode, profile: 'oauth21' }
    const page = await us.page()
    const asked = { scope: 'openid', push: 'always', maxAge: 600, uiLocales: ['de', 'en'], claims: { id_token: { auth_time: null } } }
    await toCallback(us, page, config, asked)
    const { hash, search } = new URL(page.url())
    const answer = new URLSearchParams(responseMode === 'fragment.jwt' ? hash.slice(1) : search)
    assert.deepEqual([...answer.keys()], ['response'])
    assert.deepEqual(await handle(page, config), { value: true })
    assert.equal(page.url(), config.redirectUri)
    assert.equal(await page.evaluate(() => session.claims.sub), 'somebody')
  }
  for (const url of urls) assert.deepEqual([...url.searchParams.keys()], ['client_id', 'request_uri'])
  assert.equal(urls.length, 3)
})

test('a signed answer of another flow, and a plain one, end nothing', async () => {
  const config = { ...us.configs.oidc, responseMode: 'jwt' }
  const page = await us.page()
  await toCallback(us, page, config, { scope: 'openid', push: 'always' })
  const answer = page.url()
  const wrong = answer.replace(/response=.*/, 'response=a.b.c')
  await page.evaluate((url) => history.replaceState(null, '', url), wrong)
  assert.equal((await handle(page, config)).code, 'jws.malformed')
  await page.evaluate((url) => history.replaceState(null, '', url), answer)
  assert.deepEqual(await handle(page, config), { value: true })
})

test('permissions are objects with a type', async () => {
  const page = await us.page()
  const told = await page.evaluate(
    (config) => web.signIn(config, { authorizationDetails: [{ actions: ['read'] }] }).catch((error) => error.code),
    us.configs.oidc,
  )
  assert.equal(told, 'authorization_details.malformed')
})

test('a profile refuses what it forbids', async () => {
  const page = await us.page()
  const told = await page.evaluate(
    (config) => web.signIn({ ...config, profile: 'fapi2_security' }).catch((error) => error.code),
    us.configs.oidc,
  )
  // A page has no key that a server knows: the profile is none of its.
  assert.equal(told, 'misuse.setup')
})

test('what an API wants is asked for', async () => {
  const urls = opened()
  const page = await us.page()
  const wanted = await page.evaluate(() => {
    const challenge = 'Bearer error="insufficient_user_authentication", acr_values="urn:mfa", max_age="0", scope="read"'
    const reply = (text) => new Response(null, { status: 401, headers: { 'www-authenticate': text } })
    return Promise.all([challenge, 'Bearer error="invalid_token"'].map((text) => web.stepUp(reply(text))))
  })
  assert.deepEqual(wanted, [{ acr_values: ['urn:mfa'], max_age: 0, scope: 'read' }, undefined])
  const client = { ...us.configs.oidc, clientId: 'public' }
  await page.evaluate(([config, stepUp]) => void web.signIn(config, { scope: 'openid', stepUp }), [client, wanted[0]])
  await page.waitForRequest((request) => new URL(request.url()).pathname === '/auth')
  const asked = Object.fromEntries(urls[0].searchParams)
  assert.deepEqual([asked.acr_values, asked.max_age, asked.scope], ['urn:mfa', '0', 'openid read'])
})
