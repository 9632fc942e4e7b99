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

test('a guard of Express trusts only the user that this site has found in this request', async () => {
  const site = siteAt()
  const cookie = await site.testing({ subject: 'ann' })
  const of = (...fields) => ({ method: 'GET', url: '/', headers: {}, rawHeaders: ['Host', 'localhost:3000', 'Accept', 'application/json', ...fields] })
  /** The status that a middleware sends, or `passed`. */
  const answer = (middleware, request) =>
    new Promise((done, fail) => {
      const response = { setHeader() {}, appendHeader() {}, end: () => done(response.statusCode) }
      middleware(request, response, (error) => (error ? fail(error) : done('passed')))
    })
  const ann = of('Cookie', cookie)
  assert.equal(await answer(site.express(), ann), 'passed')
  const { user } = ann
  assert.equal(await answer(site.required, ann), 'passed')
  assert.equal(ann.user, user)
  const other = Object.assign(of(), { user })
  assert.equal(await answer(site.required, other), 401)
  // Another site looks itself.
  assert.equal(await answer(siteAt().required, ann), 'passed')
  assert.deepEqual([ann.user === user, ann.user.subject], [false, 'ann'])
})

test('the host of a request is that of its fields', async () => {
  const site = siteAt('', { baseUrl: [origin, 'http://127.0.0.1:3000'] })
  const statusWith = (headers, ...fields) =>
    new Promise((done, fail) => {
      const response = { setHeader() {}, appendHeader() {}, end: () => done(response.statusCode) }
      site.express()({ method: 'GET', url: '/', headers, rawHeaders: fields }, response, (error) => (error ? fail(error) : done('passed')))
    })
  const status = (...fields) => statusWith({}, ...fields)
  assert.equal(await status('host', '127.0.0.1:3000'), 'passed')
  assert.equal(await status(':authority', 'localhost:3000'), 'passed')
  assert.equal(await status('host', 'elsewhere.example'), 404)
  // Middleware has set the host that the proxy has forwarded.
  assert.equal(await statusWith({ host: 'localhost:3000' }, 'Host', 'inside.example'), 'passed')
  assert.equal(await statusWith({ host: 'elsewhere.example' }, 'Host', 'localhost:3000'), 404)
})
