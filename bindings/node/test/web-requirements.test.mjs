// Requirements have the same form wherever they are given, and the site's pages are served for all their methods.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { core } from './helper.mjs'
import { origin, siteAt } from './web-test-site.mjs'

const page = (path, { headers, ...init } = {}) => new Request(`${origin}${path}`, { headers: { accept: 'text/html', host: 'localhost:3000', ...headers }, ...init })

test('handle and wrap accept the same requirements as required', async () => {
  const site = siteAt()
  const cookie = await site.testing({ subject: 'ann', acr: 'mfa', authTime: new Date() })
  const request = () => page('/pay', { headers: { cookie } })
  for (const need of [{ acr: 'mfa' }, { acr: ['gold', 'mfa'] }, { maxAge: 60 }, {}]) {
    assert.equal((await site.handle(request(), { access: 'signed_in', need })).user.subject, 'ann')
    assert.equal(await (await site.wrap((_, user) => new Response(user.subject), { access: 'signed_in', need })(request())).text(), 'ann')
    assert.equal((await site.required(request(), need)).subject, 'ann')
  }
  const more = await site.handle(request(), { access: 'signed_in', need: { acr: 'gold' } })
  assert.equal(more.status, 303)
  await assert.rejects(site.handle(request(), { need: { arc: 'gold' } }), TypeError)
})

test('routes exports each method that forwarded API calls may use', async () => {
  const methods = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE']
  const site = siteAt('', { store: new core.MemoryStore(), api: { orders: { url: 'https://orders.example/v1', methods } } })
  assert.deepEqual(Object.keys(site.routes), methods)
  const headers = { 'x-csrf-protection': '1', 'sec-fetch-site': 'same-origin', accept: '*/*' }
  for (const method of methods) {
    // Nobody is signed in, so that nothing is sent on.
    assert.equal((await site.routes[method](page('/auth/api/orders/1', { method, headers }))).status, 401, method)
  }
})
