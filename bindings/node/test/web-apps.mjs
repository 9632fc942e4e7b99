// One application with sign-in, written for each framework.
import { cpSync, existsSync, readdirSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import { createRequire } from 'node:module'
import path from 'node:path'
import { after } from 'node:test'
import { root } from './helper.mjs'
import {
  apiStatus, describeCart, describePut, hello, hono as fetchHono, standard as fetchStandard, statusOrCode,
} from './web-fetch-apps.mjs'

const require = createRequire(import.meta.url)
const tools = createRequire(path.join(root, 'tests/web/node/package.json'))

/** The standard handler, behind a server that gives requests of the Fetch standard. */
function standard(site, options) {
  const { getRequestListener } = tools('@hono/node-server')
  const errorHandler = () => new Response('failed', { status: 500 })
  return getRequestListener(fetchStandard(site, options), { overrideGlobalObjects: false, errorHandler })
}

/** No framework at all. */
function http(site, { api }) {
  const [visit, errors] = [site.express(), site.expressErrors()]
  const pages = {
    'GET /': [(request, response, next) => next(), hello],
    'GET /me': [site.required, describeCart],
    'GET /deep/me': [site.required, describeCart],
    'POST /cart': [site.required, async (user, request) => describePut(user, Buffer.concat(await request.toArray()))],
    'GET /pay': [site.required({ acr: ['mfa'] }), ({ acr }) => acr],
    'GET /call': [site.required, statusOrCode(api)],
    'GET /echo': [site.required, apiStatus(api)],
  }
  return (request, response) => {
    const end = (status, text) => {
      response.statusCode = status
      response.end(text)
    }
    const failed = (error) => errors(error, request, response, () => end(500, 'failed'))
    const or = (go) => (error) => (error ? failed(error) : go())
    visit(request, response, or(() => {
      const [required, page] = pages[`${request.method} ${request.url.split('?')[0]}`] ?? []
      if (page === undefined) return end(404, 'nothing here')
      required(request, response, or(() => Promise.resolve(request.user).then((user) => page(user, request)).then((text) => end(200, text), failed)))
    }))
  }
}

function hono(site, options) {
  const { Hono } = tools('hono')
  const { getRequestListener } = tools('@hono/node-server')
  return getRequestListener(fetchHono(Hono)(site, options), { overrideGlobalObjects: false })
}

/** Both majors; the newer one with a parser that reads forms before the site does. */
const express = (name) => (site, { api }) => {
  const make = tools(name)
  const deep = make.Router().get('/me', site.required, (req, res) => res.send(describeCart(req.user)))
  const app = make()
  if (name === 'express') app.use(make.urlencoded({ extended: false }))
  app.use(site.express())
  app.get('/', (req, res) => res.send(hello(req.user)))
  app.get('/me', site.required, (req, res) => res.send(describeCart(req.user)))
  app.post('/cart', site.required, make.text(), (req, res) => res.send(describePut(req.user, req.body)))
  app.get('/pay', site.required({ acr: ['mfa'] }), (req, res) => res.send(req.user.acr))
  app.get('/call', site.required, (req, res, next) => statusOrCode(api)(req.user).then((text) => res.send(text), next))
  app.get('/echo', site.required, (req, res, next) => apiStatus(api)(req.user).then((text) => res.send(text), next))
  app.use('/deep', deep)
  app.use(site.expressErrors())
  app.use((error, req, res, next) => res.status(500).send('failed'))
  return app
}

async function fastify(site, { api, server }) {
  let listener
  const app = tools('fastify')({
    serverFactory(handler) {
      listener = handler
      return server
    },
  })
  app.register(site.fastify)
  app.register(async (scoped) => {
    const required = { preHandler: site.required }
    scoped.get('/', async ({ user }) => hello(user))
    scoped.get('/me', required, async ({ user }) => describeCart(user))
    scoped.post('/cart', required, async ({ user, body }) => describePut(user, body))
    scoped.get('/pay', { preHandler: site.required({ acr: ['mfa'] }) }, async ({ user }) => user.acr)
    scoped.get('/call', required, async ({ user }) => statusOrCode(api)(user))
    scoped.get('/echo', required, async ({ user }) => apiStatus(api)(user))
    const plugin = async (deep) => deep.get('/me', required, async ({ user }) => describeCart(user))
    scoped.register(plugin, { prefix: '/deep' })
  })
  app.setErrorHandler((_, request, reply) => reply.code(500).send('failed'))
  await app.ready()
  return listener
}

/** Each framework's application, as a listener of `node:http`. */
export const apps = {
  'fetch handler': standard,
  'node:http': http,
  Hono: hono,
  'Express 5': express('express'),
  'Express 4': express('express4'),
  Fastify: fastify,
}

/** Serves what `make` gives for the server's own URL. */
export async function serve(make) {
  let listener
  const server = createServer((request, response) => listener(request, response))
  await new Promise((done) => server.listen(0, '127.0.0.1', done))
  after(() => {
    server.closeAllConnections()
    server.close()
  })
  const base = `http://127.0.0.1:${server.address().port}`
  listener = await make(base, server)
  return base
}

/** Puts the package under test, and its native half, where an application that is built looks for it. */
export function install(place) {
  const from = path.dirname(require.resolve('oauth-core/package.json'))
  const to = path.join(place, 'node_modules/oauth-core')
  rmSync(to, { recursive: true, force: true })
  for (const part of ['package.json', 'edge', 'js', 'native']) {
    if (existsSync(path.join(from, part))) cpSync(path.join(from, part), path.join(to, part), { recursive: true })
  }
  for (const part of readdirSync(from).filter((name) => /\.d\.[cm]ts$/.test(name))) cpSync(path.join(from, part), path.join(to, part))
  const half = `oauth-core-${require(path.join(from, 'js/platform.cjs')).platform()}`
  const beside = path.join(from, '..', half)
  if (existsSync(beside)) cpSync(beside, path.join(place, 'node_modules', half), { recursive: true })
}
