// An application of Next.js, built as its users build theirs, with the package in its own node_modules.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, test } from 'node:test'
import { promisify } from 'node:util'
import { root, twins } from './helper.mjs'
import { install, serve } from './web-apps.mjs'
import { Browser } from './web-checks.mjs'

const place = path.join(root, 'tests/web/next')
const tools = createRequire(path.join(place, 'package.json'))

install(place)
// The build has none of the site's variables: only the server has them.
const buildEnv = { ...process.env, NEXT_TELEMETRY_DISABLED: '1' }
const buildCommand = [tools.resolve('next/dist/bin/next'), 'build']
await promisify(execFile)(process.execPath, buildCommand, { cwd: place, env: buildEnv })

const { generic: twin } = await twins()
await twin.claim('name', 'Ann')
const { clientId, clientSecret } = await twin.client()

// Next.js loads a module once for pages and once for routes: a store in memory would be two.
const store = mkdtempSync(path.join(tmpdir(), 'oauth-next-'))
after(() => rmSync(store, { recursive: true, force: true }))

const base = await serve(async (url) => {
  for (const prefix of ['/auth', '/edge/auth']) await twin.register(`${url}${prefix}/callback`)
  Object.assign(process.env, {
    OAUTH_BASE_URL: url, OAUTH_ISSUER: twin.base, OAUTH_CLIENT_ID: clientId, OAUTH_CLIENT_SECRET: clientSecret,
    OAUTH_KEY: Buffer.alloc(32, 7).toString('base64url'), NODE_ENV: 'production', OAUTH_TRANSPORT: 'loopback_http',
    OAUTH_STORE: `sqlite:${path.join(store, 'sessions.sqlite')}`, HELLO_API: `${twin.base}/api/echo`,
  })
  const app = tools('next')({ dev: false, dir: place, quiet: true })
  await app.prepare()
  after(() => app.close())
  return app.getRequestHandler()
})

/** The header fields that `<Link>` sends when it becomes visible, and when it is clicked. */
const PREFETCH = { rsc: '1', 'next-router-prefetch': '1', 'sec-fetch-mode': 'cors', 'sec-fetch-dest': 'empty', accept: '*/*' }
const CLICK = { rsc: '1', 'sec-fetch-mode': 'cors', 'sec-fetch-dest': 'empty', accept: '*/*' }

/** The response to the router's script, which is first redirected to a URL with a `_rsc` parameter for caches. */
async function routed(browser, target, headers) {
  const reply = await browser.send(`${base}${target}`, { headers })
  const location = reply.headers.get('location')
  return location?.startsWith(`${target}?_rsc`) ? browser.send(`${base}${location}`, { headers }) : reply
}

test('a Server Component redirects to the login and back', async () => {
  const ann = new Browser()
  const { url, status, text, headers } = await ann.open(`${base}/me`)
  assert.deepEqual([url.href, status], [`${base}/me`, 200])
  assert.match(text, /Ann is here/)
  assert.deepEqual(headers.getSetCookie(), [])
  assert.match((await ann.open(`${base}/me`)).text, /Ann is here/)
})

test('prefetching a link neither starts a login nor signs the user out', async () => {
  const ann = new Browser()
  assert.equal((await ann.open(`${base}/me`)).status, 200)
  const before = (await twin.log()).length
  for (const target of ['/auth/login', '/auth/logout', '/me']) {
    const reply = await routed(ann, target, PREFETCH)
    assert.ok(reply.status < 500, `${target}: ${reply.status}`)
    assert.deepEqual(reply.headers.getSetCookie(), [], target)
  }
  assert.equal((await twin.log()).length, before)
  assert.match((await ann.open(`${base}/me`)).text, /Ann is here/)
})

test('a click on a protected link leads to the login', async () => {
  const reply = await routed(new Browser(), '/me', CLICK)
  const location = reply.headers.get('location') ?? (await reply.text())
  assert.match(location, /\/auth\/login\?return_to=%2Fme/)
})

test('a Server Component requires a step-up, and a form signs the user out', async () => {
  const ann = new Browser()
  await twin.claim('acr', 'mfa')
  const { url, text } = await ann.open(`${base}/pay`)
  assert.equal(url.href, `${base}/pay`)
  assert.match(text, /by mfa/)
  const form = { origin: base, 'content-type': 'application/x-www-form-urlencoded' }
  const out = await ann.open(`${base}/auth/logout`, { method: 'POST', headers: form, body: 'return_to=/' })
  assert.deepEqual([out.url.href, out.status], [`${base}/`, 200])
  const { url: again } = await ann.open(`${base}/me`, { until: ({ pathname }) => pathname === '/auth/login' })
  assert.equal(again.searchParams.get('return_to'), '/me')
})

test('a Server Component redirects a user whose grant has ended to sign in', async () => {
  const ann = new Browser()
  assert.match((await ann.open(`${base}/fetch`)).text, /The API says 200/)
  await twin.expire()
  assert.match((await ann.open(`${base}/fetch`)).text, /The API says 200/, 'a renewal is no end')
  await twin.revoke()
  const led = await ann.open(`${base}/fetch`, { until: ({ pathname }) => pathname === '/auth/login' })
  assert.equal(led.url.searchParams.get('return_to'), '/fetch')
  assert.match((await ann.open(led.url)).text, /The API says 200/)
})

test('the edge runtime shares the site in routes and middleware', async () => {
  const ann = new Browser()
  const { url, text } = await ann.open(`${base}/edge/me?a=1`)
  assert.deepEqual([url.href, text], [`${base}/edge/me?a=1`, 'Hello, user-248289761001'])
  assert.match((await ann.open(`${base}/edge/page`)).text, /For members/)
  const script = { accept: '*/*', 'sec-fetch-mode': 'cors', 'sec-fetch-dest': 'empty', 'sec-fetch-site': 'same-origin' }
  for (const target of ['/edge/me', '/edge/page']) {
    const response = await new Browser().send(`${base}${target}`, { headers: script })
    assert.deepEqual([response.status, response.headers.get('content-type')], [401, 'application/problem+json'], target)
  }
  const { url: away } = await new Browser().open(`${base}/edge/page`, { until: ({ origin }) => origin === twin.base })
  assert.equal(away.searchParams.get('redirect_uri'), `${base}/edge/auth/callback`)
  const headers = { origin: base, 'content-type': 'application/x-www-form-urlencoded' }
  await ann.open(`${base}/edge/auth/logout`, { method: 'POST', headers, body: 'return_to=/' })
  assert.equal((await ann.send(`${base}/edge/me`, { headers: script })).status, 401)
})
