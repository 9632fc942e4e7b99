// A middleware factory passed on without being called: the first request reports it instead of hanging.
import assert from 'node:assert/strict'
import { createServer, request } from 'node:http'
import { createRequire } from 'node:module'
import path from 'node:path'
import { after, test } from 'node:test'
import { inspect } from 'node:util'
import { rejection, root } from './helper.mjs'
import { siteAt } from './web-test-site.mjs'

const tools = createRequire(path.join(root, 'tests/web/node/package.json'))
const site = siteAt()
const PAGE = { host: 'localhost:3000', accept: 'text/html', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document', 'sec-fetch-site': 'none' }

/** The response of a listener. Not with `fetch`, which would not send the header fields of a browser. */
async function answerOf(listener, target = '/', headers = PAGE) {
  const server = createServer(listener)
  await new Promise((done) => server.listen(0, '127.0.0.1', done))
  after(() => server.close())
  return new Promise((done, fail) => {
    request({ port: server.address().port, path: target, headers, timeout: 3000 }, (reply) => {
      reply.resume().on('end', () => done({ status: reply.statusCode, location: reply.headers.location }))
    }).on('timeout', () => fail(new Error('no answer'))).on('error', fail).end()
  })
}

for (const framework of ['express', 'express4']) {
  test(`a middleware factory that is not called is reported: ${framework}`, async () => {
    const express = tools(framework)
    for (const [name, use] of [
      ['express', (app) => app.use(site.express).get('/', (_, res) => res.send('hello'))],
      ['expressErrors', (app) => app.use((_, __, next) => next(new Error('of the page'))).use(site.expressErrors)],
    ]) {
      const seen = []
      const app = express()
      use(app)
      app.use((error, _, res, next) => {
        seen.push(error)
        res.status(500).end()
        return next
      })
      assert.equal((await answerOf(app)).status, 500)
      assert.ok(seen[0] instanceof TypeError, inspect(seen[0]))
      assert.match(seen[0].message, new RegExp(`^call site\\.${name}\\(\\)`))
      assert.equal(seen[0].cause?.message, name === 'express' ? undefined : 'of the page')
    }
  })
}

test('a factory refuses the arguments of a framework', async () => {
  const { Hono } = tools('hono')
  const seen = []
  const app = new Hono()
  app.use(site.hono)
  app.get('/', (context) => context.text('hello'))
  app.onError((error, context) => {
    seen.push(error.message)
    return context.text('failed', 500)
  })
  assert.equal((await app.request('/')).status, 500)
  assert.match(seen[0], /^call site\.hono\(\)/)
  assert.throws(() => site.sveltekit({ event: {}, resolve: () => {} }), { name: 'TypeError', message: /^call site\.sveltekit\(\)/ })
  assert.throws(() => site.wrap(new Request('http://localhost:3000/')), { name: 'TypeError', message: /^handler must be a function: call site\.wrap/ })
  assert.throws(() => site.express({}), { name: 'TypeError', message: /^call site\.express\(\)/ })
  assert.throws(() => site.expressErrors({}), { name: 'TypeError', message: /^call site\.expressErrors\(\)/ })
})

test('calling a plugin, or required() with an invalid argument, is refused', async () => {
  assert.match((await rejection(Promise.resolve().then(() => site.fastify()))).message, /^site\.fastify is the plugin itself/)
  for (const given of [[], [undefined], [null], ['x'], [new Date()]]) {
    assert.throws(() => site.required(...given), { name: 'TypeError', message: /^site\.required/ }, inspect(given))
  }
  assert.equal(typeof site.required({}), 'function')
})

test('required protects a page registered before the middleware', async () => {
  const app = tools('express')()
  app.get('/me', site.required, (_, res) => res.send('me'))
  app.use(site.express())
  const led = await answerOf(app, '/me')
  assert.equal(led.status, 303)
  assert.match(led.location, /^http:\/\/localhost:3000\/authorize\?/)
})
