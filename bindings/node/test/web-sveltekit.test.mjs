// An application of SvelteKit, built as its users build theirs, with the package in its own node_modules.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { createRequire } from 'node:module'
import path from 'node:path'
import { test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { root, twins } from './helper.mjs'
import { install, serve } from './web-apps.mjs'
import { Browser } from './web-checks.mjs'

const place = path.join(root, 'tests/web/sveltekit')
const { getRequestListener } = createRequire(path.join(root, 'tests/web/node/package.json'))('@hono/node-server')

install(place)
await promisify(execFile)(process.execPath, ['node_modules/vite/bin/vite.js', 'build'], { cwd: place })

const { generic: twin } = await twins()
await twin.claim('name', 'Ann')
const { clientId, clientSecret } = await twin.client()

const base = await serve(async (url) => {
  await twin.register(`${url}/auth/callback`)
  Object.assign(process.env, {
    OAUTH_BASE_URL: url, OAUTH_ISSUER: twin.base, OAUTH_CLIENT_ID: clientId, OAUTH_CLIENT_SECRET: clientSecret,
    OAUTH_KEY: Buffer.alloc(32, 7).toString('base64url'), OAUTH_STORE: 'memory:', OAUTH_TRANSPORT: 'loopback_http', HELLO_API: `${twin.base}/api/echo`,
  })
  const built = (name) => import(pathToFileURL(path.join(place, '.svelte-kit/output/server', name)).href)
  const [{ Server }, { manifest }] = await Promise.all(['index.js', 'manifest.js'].map(built))
  const server = new Server(manifest)
  await server.init({ env: {} })
  const respond = (request) => server.respond(request, { getClientAddress: () => '127.0.0.1' })
  return getRequestListener(respond, { overrideGlobalObjects: false })
})

const SCRIPT = { accept: '*/*', 'sec-fetch-mode': 'cors', 'sec-fetch-dest': 'empty', 'sec-fetch-site': 'same-origin' }

test('a protected page redirects to the login and back', async () => {
  const ann = new Browser()
  assert.match((await ann.open(`${base}/menu`)).text, /stranger is here/)
  const { url, status, text, headers } = await ann.open(`${base}/me?a=1`)
  assert.deepEqual([url.href, status], [`${base}/me?a=1`, 200])
  assert.match(text, /Ann is here/)
  assert.deepEqual(headers.getSetCookie(), [])
  assert.match((await ann.open(`${base}/menu`)).text, /Ann is here/)
})

test('a protected page stays protected for percent-encoded paths', async () => {
  const ann = new Browser()
  await ann.open(`${base}/me`)
  for (const path of ['/%6de', '/m%65?a=1', '/p%61y', '/%70ay?a=1']) {
    for (const visitor of path.includes('ay') ? [new Browser(), ann] : [new Browser()]) {
      const led = await visitor.send(`${base}${path}`)
      assert.equal(led.status, 303, path)
      assert.match(led.headers.get('location'), /^(\/auth\/login\?|http.*\/authorize\?)/, path)
    }
  }
  for (const path of ['/%6de', '/p%61y']) {
    const response = await new Browser().send(`${base}${path}/__data.json`, { headers: SCRIPT })
    assert.equal((await response.json()).type, 'redirect', path)
    const post = { method: 'POST', body: 'pens=2', headers: { ...SCRIPT, origin: base, 'content-type': 'application/x-www-form-urlencoded' } }
    assert.equal((await new Browser().send(`${base}${path}`, post)).status, 401, path)
  }
})

test('a click on a link to a protected page leads to the login', async () => {
  const reply = await new Browser().send(`${base}/me/__data.json?a=1`, { headers: SCRIPT })
  assert.deepEqual(await reply.json(), { type: 'redirect', location: '/auth/login?return_to=%2Fme%3Fa%3D1' })
  const ann = new Browser()
  await ann.open(`${base}/me`)
  const data = await ann.send(`${base}/me/__data.json`, { headers: SCRIPT })
  assert.match(await data.text(), /"type":"data".*"Ann"/)
})

test('forms are accepted only from signed-in users of this site', async () => {
  const form = (origin) => ({
    method: 'POST', body: 'pens=2', headers: { ...SCRIPT, origin, accept: 'application/json', 'content-type': 'application/x-www-form-urlencoded' },
  })
  assert.equal((await new Browser().send(`${base}/me`, form(base))).status, 401)
  const ann = new Browser()
  await ann.open(`${base}/me`)
  assert.match(await (await ann.send(`${base}/me`, form(base))).text(), /user-248289761001/)
  const foreign = form('https://evil.example')
  foreign.headers['sec-fetch-site'] = 'cross-site'
  assert.equal((await ann.send(`${base}/me`, foreign)).status, 403)
})

test('a page, or a click on a link to it, requires a step-up', async () => {
  const ann = new Browser()
  await ann.open(`${base}/me`)
  await twin.claim('acr', 'mfa')
  try {
    const click = await ann.send(`${base}/pay/__data.json`, { headers: SCRIPT })
    const { type, location } = await click.json()
    assert.deepEqual([type, new URL(location, base).pathname], ['redirect', '/auth/login'])
    assert.match((await ann.open(`${base}/pay`)).text, /paid by mfa/)
  } finally {
    await twin.claim('acr', null)
  }
})

test('a user whose grant has ended is redirected to sign in, also from a link', async () => {
  const ann = new Browser()
  assert.match((await ann.open(`${base}/fetch`)).text, /The API says 200/)
  await twin.revoke()
  const led = await ann.send(`${base}/fetch?a=1`)
  assert.deepEqual([led.status, led.headers.get('location')], [303, '/auth/login?return_to=%2Ffetch%3Fa%3D1'])
  assert.match((await ann.open(`${base}/fetch`)).text, /The API says 200/)
  await twin.revoke()
  const click = await ann.send(`${base}/fetch/__data.json`, { headers: SCRIPT })
  assert.deepEqual(await click.json(), { type: 'redirect', location: '/auth/login?return_to=%2Ffetch' })
  const response = await ann.send(`${base}/fetch`, { headers: SCRIPT })
  assert.equal(response.status, 401)
})

test('a user signs out', async () => {
  const ann = new Browser()
  await ann.open(`${base}/me`)
  const headers = { origin: base, 'content-type': 'application/x-www-form-urlencoded' }
  const out = await ann.open(`${base}/auth/logout`, { method: 'POST', headers, body: 'return_to=/menu' })
  assert.equal(out.url.href, `${base}/menu`)
  assert.match(out.text, /stranger is here/)
})
