// Cross-site navigation to applications: form_post responses, links and forms. Each application is at https://localhost;
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
import { each, place, start, twin } from './world.mjs'

const escaped = (text) => text.replaceAll('&', '&amp;').replaceAll('"', '&quot;')

async function listening(server, port = 0) {
  await new Promise((done) => server.listen(port, '127.0.0.1', done))
  server.unref()
  return server.address().port
}

/** Pages of another site, with a link and a form that lead to a URL. */
async function otherSite() {
  const server = createHttpServer((incoming, reply) => {
    const to = escaped(new URL(incoming.url, 'http://127.0.0.1').searchParams.get('to') ?? '')
    reply.setHeader('content-type', 'text/html')
    reply.end(`<a href="${to}">Go</a><form method=post action="${to}"><input name=code value=a><input name=state value=b><button>Send</button></form>`)
  })
  const base = `http://127.0.0.1:${await listening(server)}`
  return (to) => `${base}/?to=${encodeURIComponent(to)}`
}

/** A TLS proxy in front of an application, which can delay a response. */
async function tlsProxy(tls, port) {
  const late = new Map()
  const server = createServer(tls, (incoming, reply) => {
    const { method, url, headers } = incoming
    const sent = request({ host: '127.0.0.1', port, method, path: url, headers }, async (got) => {
      const held = late.get(url)
      late.delete(url)
      held?.answered()
      await held?.open
      reply.writeHead(got.statusCode, got.rawHeaders)
      got.pipe(reply)
    })
    sent.on('error', () => reply.destroy())
    incoming.pipe(sent)
  })
  /** Holds the response to the next request of a path. */
  const hold = (path) => {
    let release
    const open = new Promise((done) => (release = done))
    const answered = new Promise((answered) => late.set(path, { answered, open }))
    return { answered, release }
  }
  return { base: `https://localhost:${await listening(server)}`, hold }
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

/** The URLs in the browser history. */
async function history({ context, page }) {
  const session = await context.newCDPSession(page)
  const { entries } = await session.send('Page.getNavigationHistory')
  await session.detach()
  return entries.map(({ url }) => url)
}

/** The provider posts its response as a form, with the flow cookie. */
async function formPost({ ann, shop }) {
  const begun = []
  ann.page.on('response', (reply) => begun.push(reply.headerValue('set-cookie')))
  const page = await ann.open('/me?a=%2Fb')
  assert.deepEqual([page.status, page.url, page.asked], [200, `${shop.base}/me?a=%2Fb`, true], page.text)
  assert.ok(page.text.includes(shop.provider.subject), page.text)
  const flow = (await Promise.all(begun)).find((fields) => fields?.includes('-flow-'))
  const [pair, ...attributes] = flow.split(/; */)
  assert.match(pair, /^__Host-Http-oauth-session-flow-/)
  // Django has an order of its own.
  const wanted = ['HttpOnly', 'Max-Age=900', 'Path=/', 'SameSite=None', 'Secure']
  assert.deepEqual(attributes.filter((attribute) => !attribute.startsWith('expires=')).toSorted(), wanted)
  const cookies = (await ann.context.cookies()).filter(({ name }) => /-session(\.1|-flow.*)?$/.test(name))
  assert.deepEqual(cookies.map(({ name, sameSite, secure }) => [name, sameSite, secure]), [['__Host-Http-oauth-session', 'Strict', true]])
  const posted = ann.passed.filter((url) => url.startsWith(`${shop.base}/auth/callback`))
  assert.deepEqual(posted, [`${shop.base}/auth/callback`], 'its parameters are in the form')
  // The callback is not in the history.
  assert.deepEqual((await history(ann)).filter((url) => url.startsWith(`${shop.base}/auth/`)), [])
  assert.equal(await ann.isSignedIn(), true)
}

/** Follows a link of another site, or sends its form. */
async function followFromOtherSite(ann, shop, to, what = 'a') {
  const page = shop.elsewhere(to)
  await ann.page.goto(page)
  const before = (await history(ann)).length
  const shown = await ann.goes(() => ann.page.locator(what).click({ noWaitAfter: true }))
  return { ...shown, page, more: (await history(ann)).length - before }
}

/** The cookie is sent with the second of two requests, and the linked page is shown. */
async function strictHop({ ann, somebody, shop }) {
  const target = `${shop.base}/me?a=%2Fb#part`
  const page = await followFromOtherSite(ann, shop, target)
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
  // A user without a session signs in after the hop and gets the page.
  const bob = await somebody()
  const finalPage = await followFromOtherSite(bob, shop, `${shop.base}/me`)
  assert.deepEqual([finalPage.status, finalPage.url, finalPage.asked], [200, `${shop.base}/me`, true], finalPage.text)
  await bob.context.close()
}

/** An unexpected callback redirects signed-in users home, without signing them in again. */
async function callbackAgain({ ann, shop }) {
  const callback = `${shop.base}/auth/callback`
  for (const [to, what] of [[`${callback}?code=a&state=b`, 'a'], [`${callback}?error=access_denied&state=b`, 'a'], [callback, 'button']]) {
    const home = await followFromOtherSite(ann, shop, to, what)
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

/** A response sent before a logout and received after it does not restore the session. */
async function lateResponse({ somebody, shop }) {
  const ann = await somebody()
  await ann.signIn()
  const late = await ann.context.newPage()
  const { answered, release } = shop.hold('/me?late')
  const opened = late.goto(`${shop.base}/me?late`)
  await answered
  await ann.signOut()
  const before = await ann.context.cookies(shop.base)
  release()
  const reply = await opened
  assert.equal(reply.status(), 200)
  assert.ok((await reply.text()).includes(shop.provider.subject), 'it was sent before the logout')
  assert.deepEqual(await ann.context.cookies(shop.base), before)
  for (const page of [ann.page, late]) assert.equal(await ann.isSignedIn(page), false)
  await ann.context.close()
}

export const checks = { form_post: formPost, 'Strict hop': strictHop, 'callback again': callbackAgain, 'late response': lateResponse, 'blocked cookies': blockedCookies }

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
  const wanted = frameworks.filter(({ name, isAtTwinOnly }) => !isAtTwinOnly && (only === undefined || name.toLowerCase().includes(only)))
  if (wanted.length === 0) return { rows: [], failures: [] }
  const tls = certificate()
  const [links, blocking] = [await otherSite(), await withoutCookies()]
  const failures = []
  const rows = []
  await each(wanted, async (framework) => {
    const port = await freePort()
    const { base, hold } = await tlsProxy(tls, port)
    const provider = await twin()
    const env = { ...framework.env, HELLO_RESPONSE_MODE: 'form_post' }
    const { told, end } = await start({ ...framework, env }, provider, { port, base })
    rows.push(await checked(browser, blocking, { name: framework.name, base, provider, told, hold, elsewhere: links, browsing: BROWSING }, failures))
    end()
    provider.end()
  })
  await blocking.close()
  return { rows, failures }
}
