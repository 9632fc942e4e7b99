// An application of Next.js, built as its users build theirs, with the package in its own node_modules.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { createRequire } from 'node:module'
import path from 'node:path'
import { after, test } from 'node:test'
import { promisify } from 'node:util'
import { root, twins } from './helper.mjs'
import { install, serve } from './web-apps.mjs'
import { Browser } from './web-checks.mjs'

const place = path.join(root, 'tests/web/next')
const tools = createRequire(path.join(place, 'package.json'))

install(place)
// No variable of the site's is there: they are the server's.
const quiet = { ...process.env, NEXT_TELEMETRY_DISABLED: '1' }
await promisify(execFile)(process.execPath, [tools.resolve('next/dist/bin/next'), 'build'], { cwd: place, env: quiet })

const { generic: twin } = await twins()
await twin.claim('name', 'Ann')
const { clientId, clientSecret } = await twin.client()

const base = await serve(async (url) => {
  await twin.register(`${url}/auth/callback`)
  Object.assign(process.env, {
    OAUTH_BASE_URL: url, OAUTH_ISSUER: twin.base, OAUTH_CLIENT_ID: clientId, OAUTH_CLIENT_SECRET: clientSecret,
    OAUTH_KEY: Buffer.alloc(32, 7).toString('base64url'), NODE_ENV: 'production',
  })
  const app = tools('next')({ dev: false, dir: place, quiet: true })
  await app.prepare()
  after(() => app.close())
  return app.getRequestHandler()
})

/** What `<Link>` sends when it is on the screen, and when it is clicked. */
const PREFETCH = { rsc: '1', 'next-router-prefetch': '1', 'sec-fetch-mode': 'cors', 'sec-fetch-dest': 'empty', accept: '*/*' }
const CLICK = { rsc: '1', 'sec-fetch-mode': 'cors', 'sec-fetch-dest': 'empty', accept: '*/*' }

/** What the router's script gets; it is told first what to call its request, which caches tell apart by that. */
async function routed(browser, target, headers) {
  const reply = await browser.send(`${base}${target}`, { headers })
  const location = reply.headers.get('location')
  return location?.startsWith(`${target}?_rsc`) ? browser.send(`${base}${location}`, { headers }) : reply
}

test('a Server Component leads to the login and back', async () => {
  const ann = new Browser()
  const { url, status, text, headers } = await ann.open(`${base}/me`)
  assert.deepEqual([url.href, status], [`${base}/me`, 200])
  assert.match(text, /Ann is here/)
  assert.deepEqual(headers.getSetCookie(), [])
  assert.match((await ann.open(`${base}/me`)).text, /Ann is here/)
})

test('a link that is looked ahead at begins no login, and signs nobody out', async () => {
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

test('a click on a guarded link leads to the login', async () => {
  const reply = await routed(new Browser(), '/me', CLICK)
  const location = reply.headers.get('location') ?? (await reply.text())
  assert.match(location, /\/auth\/login\?return_to=%2Fme/)
})

test('a Server Component steps up, and signing out is a form', async () => {
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
