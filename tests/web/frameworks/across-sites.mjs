// Applications to which other sites lead: a provider that posts its answer, links, and forms. Each is at https://localhost;
// the provider and the page with the links are at 127.0.0.1, which is another site. Cookies are `SameSite=Strict`: there is
// an API that pages may call.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer as createHttpServer, request } from 'node:http'
import { createServer } from 'node:https'
import path from 'node:path'
import { chromium } from 'playwright-core'
import { freePort } from '../../ports.mjs'
import { person, personIn } from './checks.mjs'
import { frameworks } from './frameworks.mjs'
import { place, start, twin } from './world.mjs'

/** Those of each language, and those whose pages can respond with a redirect alone. */
const NAMES = ['axum', 'FastAPI', 'Flask, flask run', 'Hono', 'Express', 'React Router', 'Next.js']
const escaped = (text) => text.replaceAll('&', '&amp;').replaceAll('"', '&quot;')

async function listening(server, port = 0) {
  await new Promise((done) => server.listen(port, '127.0.0.1', done))
  server.unref()
  return server.address().port
}

/** Pages of another site, with a link and a form that lead to a URL. */
async function elsewhere() {
  const server = createHttpServer((incoming, reply) => {
    const to = escaped(new URL(incoming.url, 'http://127.0.0.1').searchParams.get('to') ?? '')
    reply.setHeader('content-type', 'text/html')
    reply.end(`<a href="${to}">Go</a><form method=post action="${to}"><input name=code value=a><input name=state value=b><button>Send</button></form>`)
  })
  const base = `http://127.0.0.1:${await listening(server)}`
  return (to) => `${base}/?to=${encodeURIComponent(to)}`
}

/** What ends TLS before an application. */
async function front(tls, port) {
  const server = createServer(tls, (incoming, reply) => {
    const { method, url, headers } = incoming
    const sent = request({ host: '127.0.0.1', port, method, path: url, headers }, (response) => {
      reply.writeHead(response.statusCode, response.rawHeaders)
      response.pipe(reply)
    })
    sent.on('error', () => reply.destroy())
    incoming.pipe(sent)
  })
  return `https://localhost:${await listening(server)}`
}

function certificate() {
  const [key, cert] = ['across.key', 'across.crt'].map((name) => path.join(place, name))
  execFileSync('openssl', [
    'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '1', '-subj', '/CN=localhost',
    '-addext', 'subjectAltName=DNS:localhost', '-keyout', key, '-out', cert,
  ], { stdio: 'ignore' })
  return { key: readFileSync(key), cert: readFileSync(cert) }
}

const BROWSING = { ignoreHTTPSErrors: true }

/** A browser whose settings refuse all cookies. */
async function withoutCookies() {
  const profile = path.join(place, 'without-cookies')
  mkdirSync(path.join(profile, 'Default'), { recursive: true })
  const settings = { profile: { default_content_setting_values: { cookies: 2 } } }
  writeFileSync(path.join(profile, 'Default/Preferences'), JSON.stringify(settings))
  return chromium.launchPersistentContext(profile, {
    ...BROWSING,
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking', '--no-first-run'],
  })
}

/** Of every page that the browser would go back to. */
async function history({ context, page }) {
  const session = await context.newCDPSession(page)
  const { entries } = await session.send('Page.getNavigationHistory')
  await session.detach()
  return entries.map(({ url }) => url)
}

/** The answer of the provider is a form that it posts, and brings the cookie of the sign-in along. */
async function formPost({ ann, shop }) {
  const begun = []
  ann.page.on('response', (reply) => begun.push(reply.headerValue('set-cookie')))
  const page = await ann.open('/me?a=%2Fb')
  assert.deepEqual([page.status, page.url, page.asked], [200, `${shop.base}/me?a=%2Fb`, true], page.text)
  assert.ok(page.text.includes(shop.provider.subject), page.text)
  const flow = (await Promise.all(begun)).find((fields) => fields?.includes('-flow-'))
  assert.match(flow, /^__Host-Http-oauth-session-flow-[^;]*;.*; Secure; SameSite=None$/)
  const cookies = (await ann.context.cookies()).filter(({ name }) => /-session(\.1|-flow.*)?$/.test(name))
  assert.deepEqual(cookies.map(({ name, sameSite, secure }) => [name, sameSite, secure]), [['__Host-Http-oauth-session', 'Strict', true]])
  const posted = ann.passed.filter((url) => url.startsWith(`${shop.base}/auth/callback`))
  assert.deepEqual(posted, [`${shop.base}/auth/callback`], 'its parameters are in the form')
  // The response to the provider is no page to come back to.
  assert.deepEqual((await history(ann)).filter((url) => url.startsWith(`${shop.base}/auth/`)), [])
  assert.equal(await ann.isSignedIn(), true)
}

/** Follows a link of another site, or sends its form. */
async function led(ann, shop, to, what = 'a') {
  const page = shop.elsewhere(to)
  await ann.page.goto(page)
  const before = (await history(ann)).length
  const shown = await ann.goes(() => ann.page.locator(what).click({ noWaitAfter: true }))
  return { ...shown, page, more: (await history(ann)).length - before }
}

/** The cookie comes with the second of two requests, and the page is shown as the link wanted it. */
async function strictHop({ ann, somebody, shop }) {
  const target = `${shop.base}/me?a=%2Fb#part`
  const page = await led(ann, shop, target)
  assert.deepEqual([page.status, page.url, page.asked, page.more], [200, target, false, 1], page.text)
  assert.ok(page.text.includes(shop.provider.subject), page.text)
  assert.equal(ann.passed.filter((url) => url.startsWith(`${shop.base}/me`)).length, 2)
  // From then on it is a page like others.
  for (const act of [() => ann.page.reload(), () => ann.open('/').then(() => ann.page.goBack())]) {
    const again = await ann.goes(act)
    assert.deepEqual([again.status, again.url, again.asked], [200, target, false], again.text)
    assert.equal(ann.passed.filter((url) => url.startsWith(`${shop.base}/me`)).length, 1)
  }
  await ann.page.goBack()
  assert.equal(ann.page.url(), page.page)
  // A stranger is asked for after the hop, and comes to the page.
  const bob = await somebody()
  const finalUrl = await led(bob, shop, `${shop.base}/me`)
  assert.deepEqual([finalUrl.status, finalUrl.url, finalUrl.asked], [200, `${shop.base}/me`, true], finalUrl.text)
  await bob.context.close()
}

/** An unexpected callback redirects signed-in users home, without signing them in again. */
async function callbackAgain({ ann, shop }) {
  const callback = `${shop.base}/auth/callback`
  for (const [to, what] of [[`${callback}?code=a&state=b`, 'a'], [`${callback}?error=access_denied&state=b`, 'a'], [callback, 'button']]) {
    const home = await led(ann, shop, to, what)
    assert.deepEqual([home.status, home.url, home.asked, home.more], [200, `${shop.base}/`, false, 1], home.text)
    assert.equal(await ann.isSignedIn(), true)
  }
  const failed = await ann.open('/pay')
  assert.deepEqual([failed.url, failed.asked], [callback, true])
  assert.match(failed.text, /web\.step_up_failed/)
  const home = await ann.goes(() => ann.page.reload({ waitUntil: 'commit' }))
  assert.deepEqual([home.status, home.url, home.asked], [200, `${shop.base}/`, false], home.text)
  assert.equal(await ann.isSignedIn(), true)
}

/** A browser that blocks cookies gets an error page, and no redirect loop. */
async function blockedCookies({ shop, blocking }) {
  const eve = await personIn(blocking, shop)
  const response = await eve.open('/me')
  assert.equal(response.status, 400, response.text)
  assert.match(response.text, /web\.callback_unknown/)
  assert.equal(eve.passed.filter((url) => url.startsWith(shop.provider.issuer)).length, 1, eve.passed.join('\n'))
  assert.deepEqual(await blocking.cookies(shop.base), [])
  await eve.page.close()
}

export const checks = { form_post: formPost, 'Strict hop': strictHop, 'callback again': callbackAgain, 'blocked cookies': blockedCookies }

async function checked(browser, blocking, shop, failures) {
  const context = { shop, blocking, ann: await person(browser, shop), somebody: () => person(browser, shop) }
  const row = {}
  for (const [name, check] of Object.entries(checks)) {
    try {
      await check(context)
      row[name] = 'yes'
    } catch (error) {
      row[name] = 'NO'
      failures.push(`${shop.name} across sites, ${name}: ${error.stack}\n${shop.told()}`)
    }
  }
  await context.ann.context.close()
  return [shop.name, row]
}

/** What held, by application and check; and what went wrong. */
export async function acrossSites(browser, only) {
  const selected = frameworks.filter(({ name }) => NAMES.includes(name) && (only === undefined || name.toLowerCase().includes(only)))
  if (selected.length === 0) return { rows: [], failures: [] }
  const tls = certificate()
  const [links, blocking] = [await elsewhere(), await withoutCookies()]
  const failures = []
  const rows = await Promise.all(selected.map(async (framework) => {
    const port = await freePort()
    const base = await front(tls, port)
    const provider = await twin()
    const env = { ...framework.env, HELLO_RESPONSE_MODE: 'form_post' }
    const { told: getLog } = await start({ ...framework, env }, provider, { port, base })
    return checked(browser, blocking, { name: framework.name, base, provider, told: getLog, elsewhere: links, browsing: BROWSING }, failures)
  }))
  await blocking.close()
  return { rows, failures }
}
