// What counts as a callback, which code receives it, and where the user continues.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { handle, loaded, signedIn, startWorld, toCallback } from './suite.js'

const harness = startWorld({ oidc: true })

for (const [name, redirect, path] of [
  ['a query of the application', '/', '/orders/5?tab=2'],
  ['a query at the redirect URI', '/', '/?utm_source=mail'],
  ['a longer path', '/callback', '/callback-help?state=a&code=b'],
  ['a path below', '/callback', '/callback/x?state=a&code=b'],
  ['a code of the application', '/', '/?code=SUMMER'],
  ['a state of the application', '/', '/?state=Ohio'],
  ['a state and an error code of another name', '/', '/?state=Ohio&error_code=7'],
  ['a fragment, where the query is agreed on', '/callback', '/callback#state=a&code=b'],
  ["a query without the redirect URI's own", '/callback?app=1', '/callback?state=a&code=b'],
]) {
  test(`${name} is not a callback`, async () => {
    const page = await harness.page(path)
    const result = await handle(page, { ...harness.configs.generic, redirectUri: harness.origin + redirect })
    assert.deepEqual(result, { value: false })
    assert.equal(page.url(), harness.origin + path, 'the address is left as it is')
  })
}

test('a code or an error with a state at the redirect URI is a callback', async () => {
  for (const query of ['state=a&code=b', 'error=access_denied&state=a', 'app=1&state=a&code=b']) {
    const ownQuery = query.startsWith('app') ? '?app=1' : ''
    const redirectUri = `${harness.origin}/callback${ownQuery}`
    const page = await harness.page(`/callback?${query}`)
    assert.equal((await handle(page, { ...harness.configs.generic, redirectUri })).code, 'callback.state', query)
    assert.equal(page.url(), redirectUri)
    await page.close()
  }
})

test('with any other query, the existing session is returned', async () => {
  const config = { ...harness.configs.generic, redirectUri: `${harness.origin}/callback` }
  await signedIn(harness, config)
  const page = await harness.page('/callback?tab=2')
  assert.deepEqual(await handle(page, config), { value: true })
})

test('the response may be in the fragment', async () => {
  const config = { ...harness.configs.oidc, responseMode: 'fragment' }
  const page = await harness.page()
  await toCallback(harness, page, config, { scope: 'openid' })
  assert.equal(new URL(page.url()).search, '')
  assert.match(new URL(page.url()).hash, /[#&]code=/)
  assert.deepEqual(await handle(page, config), { value: true })
  assert.equal(page.url(), config.redirectUri)
})

test('a code that does not match the c_hash of the ID token is rejected', async () => {
  const config = { ...harness.configs.generic, responseType: 'code id_token' }
  const page = await harness.page()
  await toCallback(harness, page, config, { scope: 'openid' })
  const { hash, search } = new URL(page.url())
  assert.equal(search, '')
  assert.match(hash, /[#&]id_token=/)
  assert.deepEqual(await handle(page, config), { value: true })
  assert.equal(page.url(), config.redirectUri)

  const other = await harness.page()
  await toCallback(harness, other, config, { scope: 'openid' })
  const before = await harness.generic.counters()
  await other.evaluate(() => history.replaceState(null, '', location.href.replace(/code=[^&]*/, 'code=another')))
  assert.equal((await handle(other, config)).code, 'id_token.c_hash')
  assert.equal((await harness.generic.counters()).token_requests, before.token_requests)
})

/**
 * Handles the callback twice, as React's StrictMode runs an effect; if `late`, the second call is made after the first has
 * ended.
 */
const handleTwice = (page, config, late) =>
  page.evaluate(
    async ([config, late]) => {
      const first = told(web.handleCallback(config))
      if (late) await first
      const [one, two] = await Promise.all([first, told(web.handleCallback(config))])
      return { same: one.value === two.value, signedIn: two.value?.signedIn, codes: [one.code, two.code] }
    },
    [config, late],
  )

for (const late of [false, true]) {
  const when = late ? 'a second call after the first' : 'two calls at once'
  test(`${when}: one token request and the same session`, async () => {
    // Nothing but the page itself could give the session a second time.
    const config = { ...harness.configs.generic, tabs: false }
    const page = await harness.page()
    await toCallback(harness, page, config)
    const before = await harness.generic.counters()
    const { same, signedIn } = await handleTwice(page, config, late)
    assert.deepEqual([same, signedIn], [true, true])
    const after = await harness.generic.counters()
    assert.equal(after.token_requests - before.token_requests, 1)
    await page.evaluate(async (config) => (await web.handleCallback(config)).signOut(), config)
    assert.deepEqual(await handle(page, config), { value: false }, 'an ended session is not given again')
  })
}

test('two concurrent calls report the same denial, and a later call reports none', async () => {
  const page = await harness.page()
  await harness.generic.deny()
  await toCallback(harness, page, harness.configs.generic)
  const { codes } = await handleTwice(page, harness.configs.generic, false)
  assert.deepEqual(codes, ['denied.access_denied', 'denied.access_denied'])
  assert.deepEqual(await handle(page, harness.configs.generic), { value: false })
})

test('two calls without a callback share one session', async () => {
  await signedIn(harness, harness.configs.generic)
  const page = await harness.page()
  assert.equal((await handleTwice(page, harness.configs.generic, false)).same, true)
  assert.equal((await handleTwice(page, harness.configs.generic, true)).same, true)
})

test('another client of the same page is not given this session', async () => {
  const page = await signedIn(harness, harness.configs.generic)
  const other = { ...harness.configs.generic, clientId: 'somebody-else' }
  assert.deepEqual(await handle(page, other), { value: false })
})

test('returnTo is available after the sign-in', async () => {
  for (const returnTo of ['/orders/5?tab=2#top', `${harness.origin}/orders`]) {
    const page = await signedIn(harness, harness.configs.generic, { returnTo })
    assert.equal(await page.evaluate(() => session.returnTo), returnTo)
  }
  const page = await signedIn(harness, harness.configs.generic)
  assert.equal(await page.evaluate(() => session.returnTo), undefined)
})

test('returnTo at another origin is rejected', async () => {
  const page = await harness.page()
  const refused = ['https://evil.example/', '//evil.example', '/\\evil.example', 'javascript:alert(1)', 'orders', '']
  for (const returnTo of refused) {
    const options = { returnTo }
    const result = await page.evaluate(
      ([config, options]) => told(web.signIn(config, options)),
      [harness.configs.generic, options],
    )
    assert.equal(result.code, 'return_to.refused', returnTo)
  }
  assert.equal(await page.evaluate(() => sessionStorage.length), 0)
})

test('a redirect URI at another origin is rejected before the redirect', async () => {
  const page = await harness.page()
  for (const mode of ['redirect', 'popup']) {
    const config = { ...harness.configs.generic, redirectUri: 'https://app.example/callback' }
    const result = await page.evaluate(
      ([config, mode]) => told(web.signIn(config, { mode })),
      [config, mode],
    )
    assert.equal(result.code, 'redirect_uri.other_origin')
    assert.match(result.message, /redirect URI is at https:\/\/app\.example, and this page at http:/)
  }
  await loaded(page)
})
