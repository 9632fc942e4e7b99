// The end of a sign-in at a site: UserInfo, the user who was signed out, and tokens that must be revoked.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { core, rejection, twins } from './helper.mjs'
import { Browser } from './web-checks.mjs'

const { Refuse, Site } = await import('oauth-core/web')

const { generic: twin } = await twins()
const { clientId, clientSecret } = await twin.client()
const transport = 'loopback_http'
const client = new core.Client(await core.discover(twin.base, { transport }), { clientId, clientSecret })
const key = Buffer.alloc(32, 7)
const baseUrl = 'https://shop.example'
const ann = 'user-248289761001'
await twin.register(`${baseUrl}/auth/callback`)

const at = (options) => new Site({ baseUrl, key, client, ...options })
const page = (path, { cookie, ...init } = {}) => new Request(`${baseUrl}${path}`, { ...init, headers: { accept: 'text/html', ...(cookie && { cookie }), ...init.headers } })
const pair = (field) => field.split(';', 1)[0]
const readCookies = (reply) => reply.headers.getSetCookie().filter((field) => !/max-age=0/i.test(field)).map(pair).join('; ')
const revocations = async () => (await twin.log()).filter(({ path }) => path === '/revoke')

/** The response to the callback of a user who approves immediately. */
async function visitSignedIn(site) {
  const begun = await site.page(page('/auth/login?return_to=/me'))
  const { url } = await new Browser().open(begun.headers.get('location'), { until: ({ origin }) => origin === baseUrl })
  return site.page(page(url.href.slice(baseUrl.length), { cookie: readCookies(begun) }))
}

async function signedIn(site) {
  const cookie = readCookies(await visitSignedIn(site))
  return { cookie, ...(await site.handle(page('/me', { cookie }))) }
}

const announced = (site, logoutToken, path = '/auth/backchannel-logout') =>
  site.page(page(path, { method: 'POST', body: new URLSearchParams({ logout_token: logoutToken }) }))

test('claims missing from the ID token are read from UserInfo', async () => {
  const { user } = await signedIn(at())
  assert.deepEqual([user.name, user.email], ['Alice Liddell', 'alice@twin.example'])
  const { user: plain } = await signedIn(at({ userinfo: 'never' }))
  assert.deepEqual([plain.name, plain.email], [ann, undefined])
  const message = 'userinfo: expected one of "never", "when_missing"'
  assert.throws(() => at({ userinfo: 'alw4ys' }), { name: 'TypeError', message })
})

test('OAUTH_USERINFO configures the UserInfo request', async () => {
  const env = {
    OAUTH_ISSUER: twin.base, OAUTH_CLIENT_ID: clientId, OAUTH_CLIENT_SECRET: clientSecret, OAUTH_BASE_URL: baseUrl, OAUTH_KEY: key.toString('base64url'),
  }
  const name = async (variables, options) => (await signedIn(Site.fromEnv({ env: { ...env, ...variables }, transport, ...options }))).user.name
  assert.equal(await name({}), 'Alice Liddell')
  assert.equal(await name({ OAUTH_USERINFO: 'never' }), ann)
  assert.equal(await name({ OAUTH_USERINFO: 'never' }, { userinfo: 'when_missing' }), 'Alice Liddell')
  assert.equal(await name({}, { userinfo: 'never' }), ann)
  const fails = ({ code, message }) => code === 'web.setup' && message.includes('OAUTH_USERINFO') && !message.includes('alw4ys')
  assert.throws(() => Site.fromEnv({ env: { ...env, OAUTH_USERINFO: 'alw4ys' }, transport }), fails)
})

test('UserInfo about another user is rejected', async () => {
  const before = (await revocations()).length
  await twin.claim('sub', 'another')
  const reply = await visitSignedIn(at()).finally(() => twin.claim('sub', ann))
  assert.equal(reply.status, 400)
  assert.match(await reply.text(), /userinfo\.subject/)
  assert.equal((await revocations()).length, before + 1)
})

test('the tokens of a rejected user are revoked', async () => {
  const before = (await revocations()).length
  const reply = await visitSignedIn(at({ admit: () => new Refuse('Only staff.') }))
  assert.equal(reply.status, 403)
  assert.match(await reply.text(), /Only staff\./)
  const after = await revocations()
  assert.equal(after.length, before + 1)
  assert.equal(Object.fromEntries(after.at(-1).form).token_type_hint, 'refresh_token')
})

test('signedOut is called with the user and provider, once per logout', async () => {
  await twin.register(`${baseUrl}/auth/callback/acme`)
  await twin.claim('sid', 'one')
  const signedOutUsers = []
  const signedOut = async ({ subject, provider }, request) => {
    await null
    signedOutUsers.push([subject, provider, new URL(request.url).pathname])
  }
  const provider = () => ({ id: 'acme', client, tenant: 'acme', scope: 'openid read', logoutMaxAgeWithoutExpiry: 300 })
  const site = new Site({ baseUrl, key, provider, signedOut, store: new core.MemoryStore() })
  const takeSignedOut = () => signedOutUsers.splice(0)
  const out = (cookie) => site.page(page('/auth/logout', { cookie, method: 'POST', headers: { origin: baseUrl } }))
  const { cookie } = await signedIn(site)
  assert.equal((await out(cookie)).status, 303)
  assert.deepEqual(takeSignedOut(), [[ann, 'acme', '/auth/logout']])
  await out(cookie)
  assert.deepEqual(takeSignedOut(), [])
  // Once, no matter how many sessions end; and also for a token without exp, as the provider is allowed to send it.
  const path = '/auth/backchannel-logout/acme'
  for (const flaw of [undefined, 'missing_expiry']) {
    await signedIn(site)
    const { cookie } = await signedIn(site)
    assert.equal((await announced(site, await twin.logoutToken(flaw), path)).status, 200)
    assert.deepEqual(takeSignedOut(), [[ann, 'acme', path]])
    assert.equal((await site.handle(page('/me', { cookie }))).user, undefined)
    assert.equal((await announced(site, await twin.logoutToken(flaw), path)).status, 200)
    assert.deepEqual(takeSignedOut(), [])
  }
  await signedIn(site)
  const frame = new URLSearchParams({ iss: twin.base, sid: 'one' })
  assert.equal((await site.page(page(`/auth/frontchannel-logout/acme?${frame}`))).status, 200)
  assert.deepEqual(takeSignedOut(), [[ann, 'acme', '/auth/frontchannel-logout/acme']])
  // An error thrown by the hook is passed on; the session has ended.
  const broken = new Site({ baseUrl, key, provider, signedOut: () => { throw new Error('no database') }, store: new core.MemoryStore() })
  const { cookie: last } = await signedIn(broken)
  const leaving = page('/auth/logout', { cookie: last, method: 'POST', headers: { origin: baseUrl } })
  assert.match((await rejection(broken.page(leaving))).message, /no database/)
  assert.equal((await broken.handle(page('/me', { cookie: last }))).user, undefined)
  await twin.claim('sid', null)
  assert.throws(() => at({ signedOut: 'log' }), { name: 'TypeError', message: /signedOut must be a function/ })
})

test('a logout token without exp is rejected unless the provider may omit it', async () => {
  const site = at({ store: new core.MemoryStore() })
  const { cookie } = await signedIn(site)
  const reply = await announced(site, await twin.logoutToken('missing_expiry'))
  assert.deepEqual([reply.status, (await reply.json()).code], [400, 'jwt.missing_claim'])
  assert.equal((await site.handle(page('/me', { cookie }))).user.subject, ann)
  const message = 'logoutMaxAgeWithoutExpiry: expected a positive time span'
  for (const wrong of [0, -1]) assert.throws(() => at({ logoutMaxAgeWithoutExpiry: wrong }), { name: 'TypeError', message })
  assert.throws(() => at({ logoutMaxAgeWithoutExpiry: '300' }), { name: 'TypeError' })
})
