// Checks that apply to applications with sign-in, whatever the framework.
import assert from 'node:assert/strict'
import { request } from 'node:http'
import { core } from './helper.mjs'
import { admitFunctions } from './web-fetch-apps.mjs'

/** One request, with exactly these header fields: `fetch` would say that it is a script. */
function sendRequest(url, { method = 'GET', headers = {}, body } = {}) {
  return new Promise((done, fail) => {
    const sent = request(url, { method, headers, agent: false }, async (reply) => {
      const fields = Object.entries(reply.headersDistinct).flatMap(([name, values]) => values.map((value) => [name, value]))
      const text = Buffer.concat(await reply.toArray())
      const isEmpty = [204, 304].includes(reply.statusCode)
      done(new Response(isEmpty ? null : text, { status: reply.statusCode, headers: fields }))
    })
    sent.on('error', fail)
    sent.end(body)
  })
}

/** Where a response leads: by a redirect or, with a strict cookie, by a page of the site. */
async function following(reply) {
  const location = reply.headers.get('location')
  if (location !== null || !reply.headers.get('content-type')?.startsWith('text/html')) return location
  const refresh = /http-equiv=refresh content="0;url=([^"]*)"/.exec(await reply.clone().text())
  return refresh?.[1].replaceAll('&amp;', '&') ?? null
}

/** A browser: its cookies are by host, and redirects are followed. */
export class Browser {
  #jars = new Map()

  /** A copy of what an attacker could steal. */
  copy() {
    const other = new Browser()
    for (const [host, jar] of this.#jars) other.#jars.set(host, new Map(jar))
    return other
  }

  /** One request, like that of a user who opens a page unless the headers say otherwise. */
  async send(url, { headers = {}, ...init } = {}) {
    const { host } = new URL(url)
    const jar = this.#jars.get(host) ?? new Map()
    this.#jars.set(host, jar)
    const cookie = [...jar].map(([name, value]) => `${name}=${value}`).join('; ')
    const reply = await sendRequest(url, { ...init, headers: { accept: 'text/html', ...(cookie && { cookie }), ...headers } })
    for (const field of reply.headers.getSetCookie()) {
      const [pair] = field.split(';', 1)
      const [name, value] = [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)]
      if (/max-age=0/i.test(field)) jar.delete(name)
      else jar.set(name, value)
    }
    return reply
  }

  /** Follows redirects up to `until`: the final URL, and the page there. */
  async open(start, { until = () => false, ...init } = {}) {
    let url = new URL(start)
    let reply = await this.send(url, init)
    for (let hop = 0; hop < 20; hop += 1) {
      const next = await following(reply)
      if (next === null) break
      url = new URL(next, url)
      if (until(url)) return { url }
      reply = await this.send(url)
    }
    return { url, status: reply.status, text: await reply.text(), headers: reply.headers }
  }
}

const ANN = 'user-248289761001'
const SCRIPT = { accept: '*/*', 'sec-fetch-mode': 'cors', 'sec-fetch-dest': 'empty', 'sec-fetch-site': 'same-origin' }
const sameOriginPost = (base) => ({ method: 'POST', headers: { origin: base } })

/** A browser with a signed-in user. */
async function signedIn(shop) {
  const ann = new Browser()
  assert.equal((await ann.open(`${shop.base}/me`)).status, 200)
  return ann
}

/** `[what, check]`: `open` gives an application with these settings, which are plain data, and `twin` the provider. */
export const checks = [
  ['a protected page redirects to the login and back, and knows the user', async ({ open }) => {
    const shop = await open()
    const ann = new Browser()
    assert.equal((await ann.open(`${shop.base}/`)).text, 'Hello, stranger')
    const { url, text, headers } = await ann.open(`${shop.base}/me?a=%2Fb&c=d%20e`)
    assert.deepEqual([url.href, text], [`${shop.base}/me?a=%2Fb&c=d%20e`, `${ANN} has 3`])
    assert.deepEqual(headers.getSetCookie(), [], 'no page of the application carries a cookie of the site')
    assert.equal((await ann.open(`${shop.base}/`)).text, 'Hello, Ann')
  }],
  ['a login returns to a page of a mounted router', async ({ open }) => {
    const { base } = await open()
    const { url, text } = await new Browser().open(`${base}/deep/me`)
    assert.deepEqual([url.href, text], [`${base}/deep/me`, `${ANN} has 3`])
  }],
  ['a site works behind a proxy that strips its root path', async ({ open }) => {
    const { base } = await open({ rootPath: '/shop' })
    const ann = new Browser()
    const { url, text } = await ann.open(`${base}/deep/me?a=1`)
    assert.deepEqual([url.href, text], [`${base}/deep/me?a=1`, `${ANN} has 3`])
    const headers = { origin: new URL(base).origin }
    const logout = await ann.open(`${base}/auth/logout?return_to=/shop/`, { method: 'POST', headers })
    assert.deepEqual([logout.url.href, logout.text], [`${base}/`, 'Hello, stranger'])
  }],
  ['a script gets 401 and no redirect', async ({ open }) => {
    const { base } = await open()
    const reply = await new Browser().send(`${base}/me`, { headers: SCRIPT })
    assert.deepEqual([reply.status, reply.headers.get('content-type')], [401, 'application/problem+json'])
    const { code, login } = await reply.json()
    assert.equal(code, 'web.signed_out')
    assert.equal(new URL(login, base).pathname, '/auth/login')
  }],
  ['a cross-site form post is rejected', async ({ open }) => {
    const shop = await open()
    const ann = await signedIn(shop)
    const form = { method: 'POST', body: '2 pens', headers: { 'content-type': 'text/plain' } }
    const crossSite = { ...form, headers: { ...form.headers, origin: 'https://evil.example' } }
    assert.equal((await ann.send(`${shop.base}/cart`, crossSite)).status, 403)
    const sameSite = await ann.send(`${shop.base}/cart`, { ...form, headers: { ...form.headers, origin: shop.base } })
    assert.equal(await sameSite.text(), `${ANN} puts 2 pens`, 'the body is the application’s')
  }],
  ['two tabs sign in concurrently', async ({ open }) => {
    const { base } = await open()
    const ann = new Browser()
    const isCallback = (url) => url.pathname === '/auth/callback'
    const first = await ann.open(`${base}/me?tab=1`, { until: isCallback })
    const second = await ann.open(`${base}/me?tab=2`, { until: isCallback })
    assert.equal((await ann.open(second.url)).url.href, `${base}/me?tab=2`)
    assert.equal((await ann.open(first.url)).url.href, `${base}/me?tab=1`)
  }],
  ['a repeated callback redirects to the home page', async ({ open }) => {
    const { base } = await open()
    const ann = new Browser()
    const { url } = await ann.open(`${base}/me`, { until: ({ pathname }) => pathname === '/auth/callback' })
    await ann.open(url)
    const again = await ann.open(url)
    assert.deepEqual([again.url.href, again.text], [`${base}/`, 'Hello, Ann'])
  }],
  ['a callback in another browser signs in no user', async ({ open }) => {
    const { base } = await open()
    const { url } = await new Browser().open(`${base}/me`, { until: ({ pathname }) => pathname === '/auth/callback' })
    const other = new Browser()
    // It only starts a new login.
    const { url: next } = await other.open(url, { until: ({ origin }) => origin !== base })
    assert.notEqual(next.searchParams.get('state'), url.searchParams.get('state'))
    assert.equal((await other.open(`${base}/`)).text, 'Hello, stranger')
  }],
  ['an ID token with an invalid signature or hash signs in no user', async ({ open, twin }) => {
    const { base } = await open()
    for (const [flaw, code] of [['broken_signature', 'jws.bad_signature'], ['wrong_access_token_hash', 'id_token.at_hash']]) {
      const ann = new Browser()
      await twin.fault('id_token', { flaw })
      const { status, text } = await ann.open(`${base}/me`)
      assert.equal(status, 400, flaw)
      assert.ok(text.includes(code), flaw)
      assert.equal((await ann.open(`${base}/`)).text, 'Hello, stranger', flaw)
    }
  }],
  ['fifty API calls with an expired token share one refresh', async ({ open, twin }) => {
    const shop = await open({ stored: true })
    const ann = await signedIn(shop)
    assert.equal((await ann.open(`${shop.base}/call`)).text, '200')
    await twin.expire()
    const refreshes = await twin.tokenRequests(async () => {
      const calls = Array.from({ length: 50 }, () => ann.open(`${shop.base}/call`))
      assert.deepEqual([...new Set((await Promise.all(calls)).map(({ text }) => text))], ['200'])
    })
    assert.equal(refreshes, 1)
  }],
  ['a user whose grant has ended is redirected to sign in, and a script gets 401', async ({ open, twin }) => {
    const { base } = await open({ stored: true })
    const ann = new Browser()
    assert.equal((await ann.open(`${base}/echo`)).text, '200')
    await twin.revoke()
    const redirect = await ann.send(`${base}/echo?a=1`)
    const location = new URL(redirect.headers.get('location'), base)
    assert.deepEqual([redirect.status, location.pathname, location.searchParams.get('return_to')], [303, '/auth/login', '/echo?a=1'])
    const { url, text } = await ann.open(location)
    assert.deepEqual([url.href, text], [`${base}/echo?a=1`, '200'])
    await twin.revoke()
    const sessionResponse = await ann.send(`${base}/echo`, { headers: SCRIPT })
    assert.deepEqual([sessionResponse.status, sessionResponse.headers.get('content-type')], [401, 'application/problem+json'])
    assert.equal((await ann.open(`${base}/`)).text, 'Hello, stranger')
  }],
  ['without a store no access token is available', async ({ open }) => {
    const shop = await open()
    assert.equal((await (await signedIn(shop)).open(`${shop.base}/call`)).text, 'web.setup')
  }],
  ['signing out ends the session and revokes the grant', async ({ open, twin }) => {
    const shop = await open({ stored: true })
    const ann = await signedIn(shop)
    const thief = ann.copy()
    const { base } = shop
    const before = await twin.counters()
    const confirmationPage = await ann.open(`${base}/auth/logout`)
    assert.match(confirmationPage.text, /method=post/, 'a link does not sign out')
    const headers = { origin: base, 'content-type': 'application/x-www-form-urlencoded' }
    const logout = await ann.open(`${base}/auth/logout`, { method: 'POST', headers, body: 'return_to=%2F%3Fbye' })
    assert.deepEqual([logout.url.href, logout.text], [`${base}/?bye`, 'Hello, stranger'])
    assert.equal((await twin.counters()).revocations, before.revocations + 1)
    assert.equal((await thief.open(`${base}/`)).text, 'Hello, stranger', 'a copy is worth nothing')
  }],
  ['a cross-site sign-out is rejected', async ({ open }) => {
    const shop = await open()
    const ann = await signedIn(shop)
    const headers = { origin: 'https://evil.example' }
    assert.notEqual((await ann.send(`${shop.base}/auth/logout`, { method: 'POST', headers })).status, 303)
    assert.equal((await ann.open(`${shop.base}/`)).text, 'Hello, Ann')
  }],
  ['a return URL on another site is ignored', async ({ open }) => {
    const { base } = await open()
    for (const target of ['https://evil.example/', '//evil.example/', '/\\evil.example/', '/auth/logout']) {
      const finalPage = await new Browser().open(`${base}/auth/login?return_to=${encodeURIComponent(target)}`)
      assert.deepEqual([finalPage.url.href, finalPage.text], [`${base}/`, 'Hello, Ann'], target)
    }
  }],
  ['a forged Host header is ignored', async ({ open }) => {
    const { base } = await open()
    const headers = { host: 'evil.example', accept: 'text/html', 'x-forwarded-host': 'evil.example', 'x-forwarded-proto': 'https' }
    const location = (await sendRequest(`${base}/me`, { headers })).headers.get('location')
    assert.equal(new URL(location).searchParams.get('redirect_uri'), `${base}/auth/callback`)
  }],
  ['admit can reject a user', async ({ open }) => {
    const { base } = await open({ admit: 'closed' })
    const ann = new Browser()
    const { status, text } = await ann.open(`${base}/me`)
    assert.equal(status, 403)
    assert.match(text, new RegExp(`this shop is closed to ${ANN}, Ann, true`))
    assert.equal((await ann.open(`${base}/`)).text, 'Hello, stranger')
  }],
  ['an error thrown by admit reaches the error handler', async ({ open }) => {
    const { base } = await open({ admit: 'broken' })
    const { status, text } = await new Browser().open(`${base}/me`)
    assert.deepEqual([status, text], [500, 'failed'])
  }],
  ['a page requires a step-up to another authentication context', async ({ open, twin }) => {
    const shop = await open()
    const ann = await signedIn(shop)
    const short = await ann.open(`${shop.base}/pay`)
    assert.equal(short.status, 403)
    assert.match(short.text, /web\.step_up_failed/)
    const script = await ann.send(`${shop.base}/pay`, { headers: SCRIPT })
    assert.equal((await script.json()).code, 'web.step_up')
    await twin.claim('acr', 'mfa')
    try {
      const { url, text } = await ann.open(`${shop.base}/pay`)
      assert.deepEqual([url.href, text], [`${shop.base}/pay`, 'mfa'])
    } finally {
      await twin.claim('acr', null)
    }
  }],
  ['a page calls an API through the site without seeing the token', async ({ open, twin }) => {
    const scope = 'openid read write offline_access'
    const api = { twin: { url: `${twin.base}/api`, methods: ['GET', 'POST'] } }
    const { base } = await open({ stored: true, api, scope })
    const [ann, csrfHeaders] = [new Browser(), { ...SCRIPT, 'x-csrf-protection': '1' }]
    const call = (browser, headers, more) => browser.send(`${base}/auth/api/twin/echo`, { headers, ...more })
    assert.equal((await call(ann, csrfHeaders)).status, 401)
    await ann.open(`${base}/me`)
    const reply = await call(ann, csrfHeaders)
    assert.equal(reply.status, 200)
    assert.equal((await reply.json()).scope, scope)
    assert.deepEqual([reply.headers.getSetCookie(), reply.headers.get('cache-control')], [[], 'no-store'])
    assert.equal((await call(ann, SCRIPT)).status, 403, 'any page could have sent it')
    assert.equal((await call(ann, csrfHeaders, { method: 'DELETE' })).status, 405)
    const post = { ...csrfHeaders, origin: base, 'content-type': 'application/json' }
    assert.equal((await call(ann, post, { method: 'POST', body: '{"pens":2}' })).status, 200)
    assert.equal((await call(ann, post, { method: 'POST', body: 'a'.repeat((10 << 20) + 1) })).status, 413)
    await twin.expire()
    assert.equal(await twin.tokenRequests(async () => assert.equal((await call(ann, csrfHeaders)).status, 200)), 1)
  }],
  ['the session endpoint returns the user to scripts', async ({ open }) => {
    const shop = await open()
    const nobody = await (await new Browser().send(`${shop.base}/auth/session`, { headers: SCRIPT })).json()
    assert.equal(nobody.signed_in, false)
    const ann = await signedIn(shop)
    const sessionState = await (await ann.send(`${shop.base}/auth/session`, { headers: SCRIPT })).json()
    assert.deepEqual([sessionState.signed_in, sessionState.user.sub, sessionState.user.name], [true, ANN, 'Ann'])
  }],
  ['a request body over the size limit is rejected', async ({ open }) => {
    const { base } = await open()
    const large = { ...sameOriginPost(base), body: 'a'.repeat(70_000) }
    assert.equal((await new Browser().send(`${base}/auth/callback`, large)).status, 413)
  }],
  ['unknown pages and methods are rejected', async ({ open }) => {
    const { base } = await open()
    assert.equal((await new Browser().send(`${base}/auth/nothing`)).status, 404)
    for (const method of ['POST', 'DELETE']) {
      assert.equal((await new Browser().send(`${base}/auth/session`, { ...sameOriginPost(base), method })).status, 405, method)
    }
  }],
]

/** A function that opens applications of this kind at this provider. */
export async function opener(twin, { Refuse, Site }, make, serve) {
  const { clientId, clientSecret } = await twin.client()
  const transport = 'loopback_http'
  const server = await core.discover(twin.base, { transport })
  const client = new core.Client(server, { clientId, clientSecret })
  return async ({ stored, rootPath = '', admit = 'cart', ...settings } = {}) => {
    const origin = await serve(async (origin, server) => {
      const base = `${origin}${rootPath}`
      await twin.register(`${base}/auth/callback`)
      const site = new Site({
        baseUrl: base, key: new Uint8Array(32).fill(7), client, transport, scope: 'openid read offline_access', rootPath,
        apiOrigins: [twin.base], store: stored ? new core.MemoryStore() : undefined, admit: admitFunctions({ Refuse })[admit], ...settings,
      })
      const listener = await make(site, { api: `${twin.base}/api/echo`, server })
      return (request, response) => {
        if (request.url.startsWith(rootPath)) request.url = request.url.slice(rootPath.length)
        return listener(request, response)
      }
    })
    return { base: `${origin}${rootPath}` }
  }
}
