// A site without sockets: its settings, its hooks, and the integrations with frameworks.
import assert from 'node:assert/strict'
import { subscribe } from 'node:diagnostics_channel'
import { createRequire } from 'node:module'
import path from 'node:path'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { core, listen, rejection, root, twins } from './helper.mjs'
import { Browser } from './web-checks.mjs'

const tools = createRequire(path.join(root, 'tests/web/node/package.json'))
const { Refuse, Site, User } = await import('oauth-core/web')
const next = await import('oauth-core/web/next')

const { generic: twin } = await twins()
await twin.claim('name', 'Ann')
const { clientId, clientSecret } = await twin.client()
const transport = 'loopback_http'
const client = new core.Client(await core.discover(twin.base, { transport }), { clientId, clientSecret })
const key = Buffer.alloc(32, 7)
const baseUrl = 'https://shop.example'
const scope = 'openid read offline_access'
await twin.register(`${baseUrl}/auth/callback`)
await twin.register(`${baseUrl}/shop/auth/callback`)

const at = (options) => new Site({ baseUrl, key, client, scope, ...options })
const page = (path, headers) => new Request(`${baseUrl}${path}`, { headers: { accept: 'text/html', ...headers } })
const pair = (field) => field.split(';', 1)[0]

/** The cookie of a user signed in to a site without sockets. */
async function signedIn(site, path = '') {
  const begun = await site.page(page(`${path}/auth/login`))
  const flow = begun.headers.getSetCookie().map(pair).join('; ')
  const { url } = await new Browser().open(begun.headers.get('location'), { until: ({ origin }) => origin === baseUrl })
  const back = await site.page(page(url.href.slice(baseUrl.length), { cookie: flow }))
  return back.headers.getSetCookie().filter((field) => !/max-age=0/i.test(field)).map(pair).join('; ')
}

test('a missing environment variable is reported by name at construction', () => {
  const all = {
    OAUTH_ISSUER: 'https://login.example', OAUTH_CLIENT_ID: 'id', OAUTH_CLIENT_SECRET: 's', OAUTH_BASE_URL: baseUrl,
    OAUTH_KEY: key.toString('base64url'),
  }
  assert.deepEqual(Site.fromEnv({ env: all }).paths, ['/auth/*'])
  for (const name of ['OAUTH_ISSUER', 'OAUTH_CLIENT_ID', 'OAUTH_BASE_URL', 'OAUTH_KEY']) {
    const fails = { code: 'environment.missing', message: new RegExp(name) }
    assert.throws(() => Site.fromEnv({ env: { ...all, [name]: undefined } }), fails)
  }
  assert.throws(() => Site.fromEnv({ env: {} }), /: OAUTH_ISSUER or OAUTH_PROVIDER, OAUTH_CLIENT_ID, OAUTH_BASE_URL, OAUTH_KEY/)
  // An empty variable counts as missing.
  const empty = { code: 'environment.missing', message: /OAUTH_CLIENT_SECRET/ }
  assert.throws(() => Site.fromEnv({ env: { ...all, OAUTH_CLIENT_SECRET: '' } }), empty)
  const wrong = {
    OAUTH_STORE: 'mysql://ann:hunter2@host/db', OAUTH_ISSUER: 'hunter2', OAUTH_KEY: 'hunter2', OAUTH_BASE_URL: 'hunter2',
  }
  for (const [name, value] of Object.entries(wrong)) {
    const fails = (error) => error.code === 'web.setup' && error.message.includes(name) && !/hunter2/.test(inspect(error))
    assert.throws(() => Site.fromEnv({ env: { ...all, [name]: value } }), fails, name)
  }
  for (const OAUTH_STORE of ['memory:', 'redis://localhost', 'postgresql://localhost/db']) Site.fromEnv({ env: { ...all, OAUTH_STORE } })
})

test('a setting of the wrong type is reported by name, and not shown', () => {
  const wrong = [
    [{ keep: 't0kens' }, /keep: expected one of "identity", "access_token", "store"/],
    [{ sameSite: 'n0ne' }, /sameSite: expected one of "lax", "strict"/],
    [{ lifetimeMs: -1 }, /lifetimeMs must be a positive number/],
    [{ flows: 1.5 }, /flows: expected an integer/],
    [{ name: 5 }, /name: expected a string/],
    [{ claims: 'name' }, /claims must be a list/],
    [{ api: { mail: { url: 'https://mail.example', methods: ['n0 method'] } } }, /api: expected APIs by their names/],
    [{ baseUrl: [] }, /baseUrl: expected a URL/],
    [{ responseMode: 'n0ne' }, /responseMode: expected one of "query", "form_post"/],
    [{ title: 5 }, /a setting of a provider has the wrong type/],
  ]
  for (const [settings, message] of wrong) {
    const fails = (error) => error instanceof TypeError && message.test(error.message) && !/[nt]0/.test(error.message)
    assert.throws(() => at(settings), fails, JSON.stringify(settings))
  }
  assert.throws(() => at({ keep: 'store' }), { code: 'web.setup', message: /keep/ })
  assert.throws(() => at({ keep: 'access_token', store: new core.MemoryStore() }), { code: 'web.setup', message: /keep/ })
  at({ lifetimeMs: Infinity, flowLifetimeMs: 1500, claims: new Set(['name']), returnOrigins: [new URL('https://app.example')] })
})

test('unsafe settings are rejected at construction, and providers contacted on demand', async () => {
  assert.throws(() => at({ baseUrl: 'http://shop.example' }), { code: 'url.insecure' })
  assert.throws(() => at({ prefix: '/' }), { code: 'web.setup' })
  assert.throws(() => at({ scope: 'read' }), { code: 'web.setup' })
  assert.throws(() => at({ idleMs: 1000 }), { code: 'web.setup' })
  assert.throws(() => at({ access: 'closed' }), TypeError)
  assert.throws(() => at({ key: undefined }), TypeError)
  assert.throws(() => at({ client: {} }), TypeError)
  assert.throws(() => at({ admit: 'everybody' }), TypeError)
  let requestCount = 0
  const site = at({ client: async () => {
    requestCount += 1
    if (requestCount === 1) throw new Error('the provider is away')
    return client
  } })
  assert.throws(() => at({ client: async () => client, prefix: '/' }), { code: 'web.setup' })
  assert.equal(requestCount, 0)
  // A public page contacts no provider.
  assert.deepEqual(await site.handle(page('/')), { user: undefined })
  assert.equal(requestCount, 0)
  assert.match((await rejection(site.handle(page('/auth/login')))).message, /away/)
  await Promise.all([1, 2, 3].map(() => site.handle(page('/auth/login'))))
  assert.equal(requestCount, 2)
})

test('the Retry-After of an unavailable provider is passed on to clients', async () => {
  for (const [lastResponse, code, pause] of [
    [{ status: 503, headers: { 'retry-after': '70' } }, 'lost', 70],
    [{ status: 429, headers: { 'retry-after': '90' } }, 'lost', 90],
  ]) {
    const away = await listen((request, reply) => reply.writeHead(lastResponse.status, lastResponse.headers).end())
    let thrown
    const site = at({ client: async () => core.discover(away, { transport }).catch((error) => { throw (thrown = error) }) })
    const reply = await site.handle(page('/auth/callback?state=x&code=y', { accept: '*/*' }))
    assert.ok(thrown.retryAfter >= pause, `${thrown.code} ${thrown.retryAfter}`)
    assert.deepEqual([reply.status, (await reply.json()).code], [503, code])
    assert.equal(reply.headers.get('retry-after'), `${thrown.retryAfter}`)
  }
})

test('an unreachable provider affects only pages that need it, and is retried later', async (t) => {
  const cookie = await signedIn(at())
  const notes = []
  let requestCount = 0
  let isAway = true
  const find = async () => {
    requestCount += 1
    return isAway ? core.discover('http://127.0.0.1:1', { transport }) : client
  }
  t.mock.timers.enable({ apis: ['Date'], now: Date.now() })
  const errorPage = ({ code, status, detail }) => `mine: ${status} ${code} ${detail}`
  const site = at({ client: find, errorPage, log: (note) => notes.push(note) })
  for (const path of ['/', '/cart']) assert.deepEqual(await site.handle(page(path)), { user: undefined })
  // A session in a cookie needs no metadata.
  assert.equal((await site.handle(page('/me', { cookie }), { access: 'signed_in' })).user.name, 'Ann')
  assert.equal(requestCount, 0)
  const paths = ['/auth/login', '/auth/login', '/auth/callback?state=x&code=y']
  for (const reply of await Promise.all(paths.map((path) => site.handle(page(path))))) {
    assert.deepEqual([reply.status, await reply.text()], [503, 'mine: 503 lost.connect null'])
    assert.equal(reply.headers.get('cache-control'), 'no-store')
  }
  // A script is told to start a sign-in; other scripted requests fail immediately, with the error of the provider.
  const guarded = await site.handle(page('/me', { accept: '*/*' }), { access: 'signed_in' })
  assert.deepEqual([guarded.status, (await guarded.json()).code], [401, 'web.signed_out'])
  const check = await site.handle(page('/auth/callback?state=x&code=y', { accept: '*/*' }))
  const { status, code } = await check.json()
  assert.deepEqual([check.status, status, code], [503, 503, 'lost.connect'])
  assert.equal(check.headers.get('retry-after'), '5')
  assert.equal(requestCount, 1)
  assert.ok(notes.length === 4 && notes.every(({ code, detail }) => code === 'lost.connect' && /check host/.test(detail)))
  isAway = false
  assert.equal((await site.handle(page('/auth/login'))).status, 503)
  t.mock.timers.tick(5_001)
  assert.equal((await site.handle(page('/auth/login'))).status, 303)
  assert.equal(requestCount, 2)
})

test('an oversized session is logged once', async () => {
  for (const [bytes, lines] of [[10, 0], [2200, 1]]) {
    const notes = []
    const site = at({ admit: () => ({ note: 'n'.repeat(bytes) }), log: (note) => notes.push(note) })
    await signedIn(site)
    // It is said once.
    await signedIn(site)
    const large = notes.filter(({ code }) => code === 'web.response_large')
    assert.equal(large.length, lines)
    assert.ok(large.every(({ detail }) => detail.includes('local.note takes 2202 bytes')))
  }
})

test('a user object identifies the user, and is redacted in output', async () => {
  const site = at({ admit: () => ({ cart: 3 }) })
  const cookie = await signedIn(site)
  const { user } = await site.handle(page('/', { cookie }))
  assert.ok(user instanceof User)
  assert.deepEqual([user.provider, user.issuer, user.subject, user.name, user.email, user.local.cart],
    ['login', twin.base, 'user-248289761001', 'Ann', undefined, 3])
  assert.ok(user.startedAt <= new Date() && user.until - user.startedAt === 8 * 3600_000)
  assert.deepEqual(user.scope.includes('openid'), true)
  const plain = JSON.parse(JSON.stringify(user))
  assert.equal(plain.identity.subject, user.subject)
  assert.ok(!JSON.stringify(user).includes('id_token'), 'the ID token is for the provider')
  assert.ok(!inspect(user).includes('Ann') && !inspect(user).includes('248289761001'))
  assert.throws(() => structuredClone(user), { name: 'DataCloneError' })
  assert.ok(Object.entries(user).every(([, value]) => typeof value !== 'function'))
  assert.throws(() => { user.subject = 'eve' }, TypeError)
})

test('sessions stay valid after a key rotation with oldKeys', async () => {
  const cookie = await signedIn(at())
  const young = Buffer.alloc(32, 8)
  assert.ok((await at({ key: young, oldKeys: [key] }).handle(page('/', { cookie }))).user)
  assert.equal((await at({ key: young }).handle(page('/', { cookie }))).user, undefined)
})

test('a custom error page keeps status and cookies, and the log contains the reason', async () => {
  const notes = []
  const events = []
  subscribe('oauth-core:web', (note) => events.push(note))
  const errorPage = ({ code, status }) => `<h1>${status} ${code}</h1>`
  const site = at({ errorPage, log: (note) => notes.push(note), admit: () => new Refuse('closed') })
  const begun = await site.page(page('/auth/login'))
  const flow = begun.headers.getSetCookie().map(pair).join('; ')
  const { url } = await new Browser().open(begun.headers.get('location'), { until: ({ origin }) => origin === baseUrl })
  const refused = await site.page(page(url.href.slice(baseUrl.length), { cookie: flow }))
  assert.deepEqual([refused.status, await refused.text()], [403, '<h1>403 web.not_admitted</h1>'])
  assert.equal(refused.headers.get('content-type'), 'text/html; charset=utf-8')
  assert.equal(refused.headers.get('cache-control'), 'no-store')
  assert.equal(refused.headers.get('content-security-policy'), null)
  const forged = { cookie: '__Host-Http-oauth-session=1.x.forged' }
  await site.handle(page('/me', forged), { access: 'signed_in' })
  assert.ok(notes.some(({ code, detail }) => code === 'web.signed_out' && /session/.test(detail)), inspect(notes))
  assert.deepEqual(events.filter(({ code }) => code === 'web.signed_out').length, notes.filter(({ code }) => code === 'web.signed_out').length)
})

test('the root path stripped by a proxy is restored in redirects', async () => {
  const site = at({ baseUrl: `${baseUrl}/shop`, rootPath: '/shop' })
  assert.deepEqual(site.paths, ['/auth/*'])
  assert.deepEqual([site.owns('/auth/login'), site.owns('/me')], [true, false])
  const reply = await site.handle(page('/me?x=1'), { access: 'signed_in' })
  assert.equal(new URL(reply.headers.get('location')).searchParams.get('redirect_uri'), `${baseUrl}/shop/auth/callback`)
  assert.equal((await rejection(site.required(new Headers(), '/me'))).headers.get('location').split('return_to=')[1], '%2Fshop%2Fme')
})

test('loaders throw the response to send', async () => {
  const site = at()
  const thrown = await rejection(site.required(page('/me')))
  assert.deepEqual([thrown.status, new URL(thrown.headers.get('location')).origin], [303, twin.base])
  const cookie = await signedIn(site)
  assert.equal((await site.required(page('/me', { cookie }))).name, 'Ann')
  const more = await rejection(site.required(page('/pay', { cookie }), { acr: 'mfa', maxAge: 300 }))
  assert.equal(new URL(more.headers.get('location')).searchParams.get('acr_values'), 'mfa')
  assert.throws(() => site.required({ acrs: ['mfa'] }), /acrs/)
  assert.equal((await site.page({ request: page('/elsewhere') })).status, 404)
})

test('React Router: loaders of an application sign the user in and out', async () => {
  const site = at()
  const routeModule = { loader: site.page, action: site.page }
  const me = { loader: async ({ request }) => new Response((await site.required(request)).name) }
  // A client-side navigation sends the headers of a script, although a user has clicked.
  const led = { loader: async ({ request }) => new Response((await site.required(request.headers, new URL(request.url).pathname)).name) }
  const route = (id, path, module) => ({ [id]: { id, parentId: 'root', path, module } })
  const { createRequestHandler } = tools('react-router')
  const serve = createRequestHandler({
    entry: { module: { default: () => new Response('rendered') } },
    routes: { root: { id: 'root', path: '', module: { default: () => null } }, ...route('auth', 'auth/*', routeModule), ...route('me', 'me', me), ...route('led', 'led', led) },
    assets: { entry: { imports: [], module: '' }, routes: {}, url: '', version: '1' },
    publicPath: '/', assetsBuildDirectory: 'build', basename: '/', future: {}, ssr: true, isSpaMode: false, prerender: [],
    routeDiscovery: { mode: 'initial', manifestPath: '/__manifest' },
  }, 'production')
  const begun = await serve(page('/me?a=1'))
  assert.deepEqual([begun.status, new URL(begun.headers.get('location')).origin], [303, twin.base])
  const flow = begun.headers.getSetCookie().map(pair).join('; ')
  const { url } = await new Browser().open(begun.headers.get('location'), { until: ({ origin }) => origin === baseUrl })
  const back = await serve(page(url.href.slice(baseUrl.length), { cookie: flow }))
  assert.equal(new URL(back.headers.get('location'), baseUrl).href, `${baseUrl}/me?a=1`)
  const cookie = back.headers.getSetCookie().filter((field) => !/max-age=0/i.test(field)).map(pair).join('; ')
  assert.equal(await (await serve(page('/me', { cookie }))).text(), 'Ann')
  const script = { accept: '*/*', 'sec-fetch-mode': 'cors', 'sec-fetch-site': 'same-origin' }
  assert.equal((await serve(page('/me', script))).status, 401)
  const away = await serve(page('/led.data', script))
  assert.match(await away.text(), /"redirect","\/auth\/login\?return_to=%2Fled".*"reload",true/)
  const form = { method: 'POST', headers: { cookie, origin: baseUrl, 'content-type': 'application/x-www-form-urlencoded' }, body: 'return_to=/bye' }
  const out = await serve(new Request(`${baseUrl}/auth/logout`, form))
  assert.deepEqual([out.status, new URL(out.headers.get('location')).origin], [303, twin.base])
})

test('an error thrown by admit is rethrown unchanged', async () => {
  const failure = new Error('the database is away')
  const site = at({ admit: async () => { throw failure } })
  assert.equal(await rejection(signedIn(site)), failure)
  await assert.rejects(signedIn(at({ admit: () => 'yes' })), TypeError)
})

test('Next.js: required works with headers and a path, and uses its redirect', async () => {
  const led = []
  const redirect = (location) => {
    led.push(new URL(location, baseUrl))
    throw new Error('NEXT_REDIRECT')
  }
  const site = new next.Site({ baseUrl, key, client, scope, redirect })
  assert.ok(site instanceof Site)
  const headers = (cookie) => new Headers({ host: 'shop.example', accept: 'text/x-component', 'sec-fetch-mode': 'navigate', ...(cookie && { cookie }) })
  assert.equal((await rejection(site.required(headers(), '/me?a=1'))).message, 'NEXT_REDIRECT')
  assert.deepEqual([led[0].pathname, led[0].searchParams.get('return_to')], ['/auth/login', '/me?a=1'])
  const { GET } = site.routes
  const begun = await GET(page(`/auth/login${led[0].search}`))
  assert.equal(begun.status, 303)
  const flow = begun.headers.getSetCookie().map(pair).join('; ')
  const { url } = await new Browser().open(begun.headers.get('location'), { until: ({ origin }) => origin === baseUrl })
  const back = await GET(page(url.href.slice(baseUrl.length), { cookie: flow }))
  assert.equal(new URL(back.headers.get('location'), baseUrl).href, `${baseUrl}/me?a=1`)
  const cookie = back.headers.getSetCookie().filter((field) => !/max-age=0/i.test(field)).map(pair).join('; ')
  assert.equal((await site.required(headers(cookie), '/me')).name, 'Ann')
  await rejection(site.required(headers(cookie), '/pay', { acr: ['mfa'], maxAge: 60 }))
  assert.deepEqual(['acr_values', 'max_age', 'return_to'].map((name) => led[1].searchParams.get(name)), ['mfa', '60', '/pay'])
  assert.throws(() => new next.Site({ baseUrl, key, client, redirect: '/login' }), TypeError)
  await assert.rejects(new next.Site({ baseUrl, key, client }).required(headers(), '/me'), { code: 'MODULE_NOT_FOUND' })
})

test('SvelteKit: a hook protects a path and everything below it', async () => {
  const site = at()
  const handle = site.sveltekit({ protect: ['/me'] })
  const visit = async (path, headers) => {
    const request = page(path, headers)
    const event = { request, url: new URL(request.url), locals: {} }
    const reply = await handle({ event, resolve: async ({ locals }) => new Response(locals.user?.name ?? 'stranger') })
    return [reply.status, await reply.text()]
  }
  assert.deepEqual(await visit('/menu'), [200, 'stranger'])
  assert.equal((await visit('/me'))[0], 303)
  assert.equal((await visit('/me/orders'))[0], 303)
  assert.equal((await visit('/auth/login'))[0], 303)
  const cookie = await signedIn(site)
  assert.deepEqual(await visit('/me/orders', { cookie }), [200, 'Ann'])
  assert.deepEqual(await visit('/menu', { cookie }), [200, 'Ann'])
})

test('users choose among several providers, each with its own callback', async () => {
  const providers = [{ id: 'here', title: 'Here & now', client }, { id: 'there', client: () => client }]
  const site = new Site({ baseUrl, key, providers })
  const choice = await (await site.page(page('/auth/login'))).text()
  assert.match(choice, /Here &amp; now/)
  const begun = await site.page(page('/auth/login?provider=there'))
  assert.equal(new URL(begun.headers.get('location')).searchParams.get('redirect_uri'), `${baseUrl}/auth/callback/there`)
})

test('a custom store keeps sessions and tokens', async () => {
  const inner = new core.MemoryStore()
  const calls = new Set()
  const customStore = Object.fromEntries(['load', 'save', 'lease', 'remove'].map((verb) => [verb, (...args) => {
    calls.add(verb)
    return inner[verb](...args)
  }]))
  const site = at({ store: customStore, apiOrigins: [twin.base] })
  const cookie = await signedIn(site)
  const { user } = await site.handle(page('/', { cookie }))
  assert.equal((await user.fetch(`${twin.base}/api/echo`)).status, 200)
  const { accessToken } = await user.token()
  await twin.expire()
  assert.equal((await user.fetch(`${twin.base}/api/echo`)).status, 200)
  assert.notEqual((await user.token()).accessToken, accessToken)
  assert.equal((await rejection(user.fetch('https://evil.example/'))).code, 'resource.origin_not_allowed')
  assert.deepEqual([...calls].sort(), ['lease', 'load', 'save'])
  const other = at({ store: new core.MemoryStore() })
  assert.equal((await other.handle(page('/', { cookie }))).user, undefined)
})

test('testing() creates a session cookie, with the testing key only', async () => {
  const site = at({ key: 'testing' })
  const cookie = await site.testing({ subject: 'bob', claims: { name: 'Bob' }, acr: 'mfa', authTime: new Date() })
  const { user } = await site.handle(page('/', { cookie }))
  assert.deepEqual([user.subject, user.name, user.acr, user.provider], ['bob', 'Bob', 'mfa', 'login'])
  assert.equal((await site.required(page('/pay', { cookie }), { acr: 'mfa', maxAge: 60 })).name, 'Bob')
  assert.equal((await rejection(at().testing({ subject: 'bob' }))).code, 'web.setup')
  assert.throws(() => at({ key: 'testing', baseUrl: 'https://shop.org' }), { code: 'web.setup' })
  // A field with a line break is dropped, and no other field starts after it.
  const seen = async (...headers) => (await site.visit({ method: 'GET', host: 'localhost:3000', target: '/', headers })).user?.subject
  const found = [await seen(['cookie', cookie]), await seen(['x', `y\ncookie\n${cookie}`]), await seen(['x\ny\ncookie', cookie]), await seen()]
  assert.deepEqual(found, ['bob', undefined, undefined, undefined])
  const stored = at({ key: 'testing', store: new core.MemoryStore() })
  assert.equal((await stored.handle(page('/', { cookie: await stored.testing({ subject: 'bob' }) }))).user.subject, 'bob')
})

test('APIs and an identity endpoint are configured', async () => {
  assert.throws(() => at({ api: { orders: 'https://api.example' } }), { code: 'web.setup' })
  at({ store: new core.MemoryStore(), api: { orders: 'https://api.example', pay: { url: new URL('https://pay.example'), methods: ['POST'] } } })
  const identity = { url: `${twin.base}/api/echo`, subject: 'client_id', claims: { name: 'scope' } }
  assert.throws(() => at({ identity, scope: 'openid' }), { code: 'web.setup' })
  const site = at({ identity, scope: 'read', transport })
  const { user } = await site.handle(page('/', { cookie: await signedIn(site) }))
  assert.deepEqual([user.subject, user.name], [clientId, 'read'])
})

test('records of a custom store expire with the session', async () => {
  const records = new Map()
  const ends = new Set()
  const store = {
    load: (name) => records.get(name),
    save(name, record, version, _due, until) {
      if ((records.get(name)?.version ?? 0) !== version) return
      ends.add(until?.getTime())
      records.set(name, { version: version + 1, record })
      return version + 1
    },
    lease: () => {},
  }
  const site = at({ store })
  const cookie = await signedIn(site)
  const { user } = await site.handle(page('/', { cookie }))
  assert.deepEqual([...ends], [user.until.getTime()], 'the record, the grant, and the person’s list')
  await user.end()
  assert.equal((await site.handle(page('/', { cookie }))).user, undefined)
  assert.ok([...records.values()].every(({ record }) => record === ''))
})

test('keep: access_token keeps only the access token in the cookie', async () => {
  assert.throws(() => at({ keep: 'access_token' }), { code: 'web.setup' }, 'offline_access')
  assert.throws(() => at({ keep: 'access_token', store: new core.MemoryStore(), scope: 'openid read' }), /keep/)
  const site = at({ keep: 'access_token', scope: 'openid read', apiOrigins: [twin.base], transport })
  const cookie = await signedIn(site)
  const { user } = await site.handle(page('/', { cookie }))
  const { accessToken, refreshToken } = await user.token()
  assert.equal(refreshToken, undefined)
  assert.ok(![cookie, JSON.stringify(user), inspect(user)].some((text) => text.includes(accessToken)))
  assert.equal((await user.fetch(`${twin.base}/api/echo`)).status, 200)
  await user.fetch('https://elsewhere.example/').then(() => assert.fail('it goes nowhere else'), () => {})
})

test('providers of tenants are looked up on demand', async () => {
  const tenants = new Map()
  const providerQueries = []
  const provider = async (lookup, request) => {
    providerQueries.push({ ...lookup, request })
    return tenants.get(lookup.id ?? lookup.tenant ?? lookup.path.split('/')[2])
  }
  const site = new Site({ baseUrl, key, provider, store: new core.MemoryStore() })
  for (const id of ['acme', 'globex']) {
    await twin.register(`${baseUrl}/auth/callback/${id}`)
    tenants.set(id, { id, client, tenant: id, scope: 'openid read' })
  }
  const open = (id, headers) => site.handle(page(`/t/${id}/me`, headers), { access: 'signed_in', need: { tenant: id } })
  const begun = await open('acme')
  const flow = begun.headers.getSetCookie().map(pair).join('; ')
  const { url } = await new Browser().open(begun.headers.get('location'), { until: ({ origin }) => origin === baseUrl })
  const back = await site.page(page(url.href.slice(baseUrl.length), { cookie: flow }))
  const cookie = back.headers.getSetCookie().filter((field) => !/max-age=0/i.test(field)).map(pair).join('; ')
  const { user } = await open('acme', { cookie })
  assert.deepEqual([user.tenant, user.provider], ['acme', 'acme'])
  assert.ok((await user.token()).accessToken)
  assert.ok(providerQueries.every(({ request }) => request instanceof Request))
  // The page of another tenant requires its own sign-in.
  assert.match((await open('globex', { cookie })).headers.get('location'), /callback%2Fglobex/)
  // Another process knows the session, and not yet the provider.
  const other = new Site({ baseUrl, key, provider, store: new core.MemoryStore() })
  assert.match((await other.handle(page('/t/globex/'), { access: 'signed_in' })).headers.get('location'), /callback%2Fglobex/)
  assert.match((await site.handle(page('/t/initech/'), { access: 'signed_in' })).headers.get('location'), /^\/auth\/login/)
  // An error thrown by the hook is passed on.
  const broken = new Site({ baseUrl, key, provider: () => { throw new Error('no database') } })
  assert.match((await rejection(broken.handle(page('/'), { access: 'signed_in' }))).message, /no database/)
})

test('a session of another client or path is rejected', async () => {
  const cookie = await signedIn(at())
  const seen = async (options) => (await at(options).handle(page('/', { cookie }))).user?.subject
  assert.equal(typeof (await seen()), 'string')
  const other = new core.Client(client.server, { clientId: 'another', clientSecret: 's' })
  assert.equal(await seen({ client: other }), undefined)
  assert.equal(await seen({ baseUrl: `${baseUrl}/shop` }), undefined)
  const issuer = client.server.issuer
  const later = () => { throw new Error('nobody needs it') }
  assert.equal(typeof (await seen({ client: later, registered: { issuer, clientId } })), 'string')
  assert.equal(await seen({ client: later, registered: { issuer, clientId: 'another' } }), undefined)
})

test('cookie names contain the path of the site', async () => {
  const named = async (base) => {
    const begun = await at({ baseUrl: base }).page(new Request(`${base}/auth/login`, { headers: { accept: 'text/html' } }))
    return begun.headers.getSetCookie().map((field) => field.split('-flow-', 1)[0])
  }
  assert.deepEqual(await named(`${baseUrl}/shop`), ['__Host-Http-shop-oauth-session'])
  assert.deepEqual(await named(baseUrl), ['__Host-Http-oauth-session'])
})

test('a cross-site form post without a session reaches public pages only', async () => {
  const headers = { origin: 'https://bank.example', 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate' }
  const posted = () => new Request(`${baseUrl}/payment/return`, { method: 'POST', headers })
  assert.deepEqual(await at().handle(posted()), { user: undefined })
  assert.equal((await at().handle(posted(), { access: 'signed_in' })).status, 403)
})

test('a session from testing() passes admit and has the same claims', async () => {
  const admit = ({ claims }) => (claims.team ? { team: claims.team } : new Refuse('for teams alone'))
  const site = at({ key: 'testing', admit, claims: ['name', 'team'] })
  assert.equal((await rejection(site.testing({ subject: 'ann' }))).code, 'web.not_admitted')
  const seen = async (somebody) => (await site.handle(page('/', { cookie: await site.testing(somebody) }))).user
  const ann = await seen({ subject: 'ann', claims: { name: 'Ann', team: 'red', roles: ['admin'] } })
  assert.deepEqual([ann.claims, ann.local], [{ name: 'Ann', team: 'red' }, { team: 'red' }])
  assert.deepEqual((await seen({ subject: 'bob', local: { team: 'blue' } })).local, { team: 'blue' })
  const failing = at({ key: 'testing', admit: () => { throw new RangeError('down') } })
  await assert.rejects(failing.testing({ subject: 'ann' }), RangeError)
  const cookie = await site.testing({ subject: 'bob', local: {} })
  const order = new Request(baseUrl, { method: 'POST', headers: { cookie, 'sec-fetch-site': 'same-origin' } })
  assert.equal((await site.handle(order)).user.subject, 'bob')
})

test('OAUTH_TRANSPORT allows loopback HTTP', () => {
  const env = {
    OAUTH_ISSUER: twin.base, OAUTH_CLIENT_ID: clientId, OAUTH_CLIENT_SECRET: clientSecret,
    OAUTH_BASE_URL: 'http://127.0.0.1:8000', OAUTH_KEY: key.toString('base64url'), OAUTH_TRANSPORT: 'loopback_http',
  }
  assert.ok(Site.fromEnv({ env }))
  assert.throws(() => Site.fromEnv({ env: { ...env, OAUTH_TRANSPORT: '' } }), /OAUTH_TRANSPORT=loopback_http/)
  assert.throws(() => Site.fromEnv({ env: { ...env, OAUTH_TRANSPORT: 'http' } }), { code: 'web.setup' })
})
