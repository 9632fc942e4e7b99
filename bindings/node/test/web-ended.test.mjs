// A user whose grant has ended loses the session with it, and is sent to sign in; one whose provider is down stays signed in.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { core, rejection, twins } from './helper.mjs'
import { Browser } from './web-checks.mjs'

const { Site } = await import('oauth-core/web')
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

const at = (options) => new Site({ baseUrl, key, client, scope, ...options })
const page = (path, headers) => new Request(`${baseUrl}${path}`, { headers: { accept: 'text/html', ...headers } })
const pair = (field) => field.split(';', 1)[0]

/** The cookie of a signed-in user of a site without sockets. */
async function signedIn(site) {
  const begun = await site.page(page('/auth/login'))
  const flow = begun.headers.getSetCookie().map(pair).join('; ')
  const { url } = await new Browser().open(begun.headers.get('location'), { until: ({ origin }) => origin === baseUrl })
  const back = await site.page(page(url.href.slice(baseUrl.length), { cookie: flow }))
  return back.headers.getSetCookie().filter((field) => !/max-age=0/i.test(field)).map(pair).join('; ')
}

test('a revoked grant ends the session', async () => {
  const site = at({ store: new core.MemoryStore(), apiOrigins: [twin.base], transport })
  const cookie = await signedIn(site)
  const { user } = await site.handle(page('/', { cookie }))
  assert.equal((await user.fetch(`${twin.base}/api/echo`)).status, 200)
  assert.ok((await site.handle(page('/', { cookie }))).user)
  await twin.revoke()
  assert.equal((await rejection(user.fetch(`${twin.base}/api/echo`))).advice, 'reauthorize')
  assert.equal((await site.handle(page('/', { cookie }))).user, undefined)
})

test('a user whose grant has ended is redirected to sign in, and a script gets 401', async () => {
  const site = at({ store: new core.MemoryStore(), transport, apiOrigins: [twin.base] })
  const orders = site.wrap((request, user) => user.fetch(`${twin.base}/api/echo`))
  const cookie = await signedIn(site)
  assert.equal((await orders(page('/orders', { cookie }))).status, 200)
  await twin.revoke()
  const redirect = await orders(page('/orders', { cookie }))
  assert.deepEqual([redirect.status, redirect.headers.get('location')], [303, '/auth/login?return_to=%2Forders'])
  const other = await signedIn(site)
  await twin.revoke()
  assert.equal((await orders(page('/orders', { cookie: other, accept: 'application/json' }))).status, 401)
})

test('a call of a user of required() throws the redirect to sign in once the grant has ended', async () => {
  const options = { store: new core.MemoryStore(), transport, apiOrigins: [twin.base] }
  const site = at(options)
  const cookie = await signedIn(site)
  const call = (user) => user.fetch(`${twin.base}/api/echo`)
  const user = await site.required(page('/orders', { cookie }))
  assert.equal((await call(user)).status, 200)
  await twin.revoke()
  const thrown = await rejection(call(user))
  assert.deepEqual([thrown.status, thrown.headers.get('location')], [303, '/auth/login?return_to=%2Forders'])
  const again = await signedIn(site)
  const scripts = await site.required(page('/orders', { cookie: again, accept: 'application/json' }))
  await twin.revoke()
  assert.equal((await rejection(call(scripts))).status, 401)
  // Next.js has headers, and its own redirect.
  const ways = []
  const redirect = (location) => {
    ways.push(location)
    throw new Error('NEXT_REDIRECT')
  }
  const ofNext = new next.Site({ baseUrl, key, client, scope, ...options, redirect })
  const third = await signedIn(ofNext)
  const ann = await ofNext.required(new Headers({ host: 'shop.example', cookie: third }), '/orders?a=1')
  await twin.revoke()
  assert.equal((await rejection(call(ann))).message, 'NEXT_REDIRECT')
  assert.deepEqual(ways, ['/auth/login?return_to=%2Forders%3Fa%3D1'])
})

test('a Response thrown by a page is sent', async () => {
  const site = at()
  const reply = await site.wrap(async (request) => new Response((await site.required(request)).name))(page('/me'))
  assert.deepEqual([reply.status, new URL(reply.headers.get('location')).origin], [303, twin.base])
})

test('while the provider is down, users stay signed in and can sign out', async () => {
  const cookie = await signedIn(at())
  // Another process, which has just been started.
  const discoverUnreachable = () => core.discover('http://127.0.0.1:9', { transport })
  for (const [sent, isIn] of [[{ cookie }, true], [{}, false]]) {
    const site = at({ client: discoverUnreachable })
    const response = await site.page(page('/auth/session', { accept: 'application/json', ...sent }))
    assert.deepEqual([response.status, (await response.json()).signed_in], [200, isIn])
    const logoutPage = await site.page(page('/auth/logout', sent))
    assert.equal(logoutPage.status, 200)
    const logoutResponse = await site.page(new Request(`${baseUrl}/auth/logout`, { method: 'POST', headers: { origin: baseUrl, ...sent } }))
    assert.deepEqual([logoutResponse.status, logoutResponse.headers.get('location')], [303, '/'])
    assert.equal(logoutResponse.headers.getSetCookie().some((field) => /session=;.*max-age=0/i.test(field)), isIn)
  }
})

test('an error thrown by a call of a user has no status that a framework would respond with', async () => {
  const site = at({ store: new core.MemoryStore(), transport, apiOrigins: [twin.base] })
  const cookie = await signedIn(site)
  const { user } = await site.handle(page('/', { cookie }))
  assert.equal((await user.fetch(`${twin.base}/api/echo`)).status, 200)
  await twin.revoke()
  const error = await rejection(user.fetch(`${twin.base}/api/echo`))
  assert.ok(error instanceof core.DeniedError)
  assert.deepEqual([error.advice, error.status, error.statusCode], ['reauthorize', undefined, undefined])
  assert.match(error.stack, /^DeniedError: .*\n    at /)
})
