// Which pages `protect` means, for a SvelteKit that is not the one of web-sveltekit.test.mjs: below a base, with groups, rerouted.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { origin, siteAt as at } from './web-test-site.mjs'

/** The status of a request without a session; 200 if the page is shown. */
async function fetchStatus(site, protect, path, id = null) {
  const request = new Request(`${origin}${path}`, { headers: { accept: 'text/html', host: 'localhost:3000' } })
  const event = { request, url: new URL(request.url), route: { id }, locals: {}, isDataRequest: false }
  return (await site.sveltekit({ protect })({ event, resolve: async () => new Response('shown') })).status
}

test('a protected path is matched with or without the base path', async () => {
  for (const protect of [['/me'], ['/app/me'], '/me', { '/me': {} }]) {
    assert.equal(await fetchStatus(at('/app'), protect, '/app/me'), 303)
    assert.equal(await fetchStatus(at('/app'), protect, '/app/%6de/1'), 303)
    assert.equal(await fetchStatus(at('/app'), protect, '/app/menu'), 200)
  }
})

test('a protected path matches the SvelteKit route without its groups', async () => {
  const site = at('')
  assert.equal(await fetchStatus(site, ['/me'], '/ich', '/me'), 303)
  assert.equal(await fetchStatus(site, ['/me'], '/ich/1', '/(app)/me/(deep)/[id]'), 303)
  assert.equal(await fetchStatus(site, ['/me'], '/menu', '/(me)/menu'), 200)
  // A page with a parameter is protected by its path.
  assert.equal(await fetchStatus(site, ['/me'], '/me', '/[name]'), 303)
})

test('a protected path matches in any percent-encoding', async () => {
  const site = at('')
  assert.equal(await fetchStatus(site, ['/café'], '/caf%C3%A9'), 303)
  assert.equal(await fetchStatus(site, ['/caf%c3%a9'], '/café'), 303)
  assert.equal(await fetchStatus(site, ['/me'], '/m%2565'), 200)
  assert.equal(await fetchStatus(site, ['/me'], '/%ff/me'), 200)
})

test('the most specific protected path of the route and the URL applies', async () => {
  const cookie = (site) => site.testing({ subject: 'ann', acr: 'pwd' })
  const seen = async (base, protect, path, id) => {
    const site = at(base)
    const request = new Request(`${origin}${path}`, { headers: { accept: 'text/html', host: 'localhost:3000', cookie: await cookie(site) } })
    const event = { request, url: new URL(request.url), route: { id }, locals: {}, isDataRequest: false }
    return (await site.sveltekit({ protect })({ event, resolve: async () => new Response('shown') })).status
  }
  assert.equal(await seen('/app', { '/app': {}, '/me': { acr: 'mfa' } }, '/app/me', '/me'), 303)
  assert.equal(await seen('/app', { '/app': {}, '/me': { acr: 'mfa' } }, '/app/me', '/[name]'), 303)
  assert.equal(await seen('', { '/account': {}, '/pay': { acr: 'mfa' } }, '/account', '/pay/x'), 303)
  assert.equal(await seen('', { '/account': {}, '/pay': { acr: 'mfa' } }, '/account', '/pay/[id]'), 303)
  assert.equal(await seen('', { '/': {}, '/pay': { acr: 'mfa' } }, '/pay', '/[name]'), 303)
  assert.equal(await seen('', { '/': {}, '/pay': { acr: 'mfa' } }, '/other', '/[name]'), 200)
  assert.equal(await seen('', { '/me': { acr: 'mfa' }, '/me/open': {} }, '/me/open/1', '/me/open/[id]'), 200)
  assert.equal(await seen('', { '/me': { acr: 'mfa' }, '/me/open': {} }, '/me/other', '/me/other'), 303)
  assert.equal(await seen('/caf%C3%A9', ['/me'], '/caf%C3%A9/me', null), 200)
  assert.equal(await fetchStatus(at('/caf%C3%A9'), ['/me'], '/caf%C3%A9/me'), 303)
})
