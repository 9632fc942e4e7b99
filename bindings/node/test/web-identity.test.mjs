// A site configured with environment variables, at a provider without OpenID Connect.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { twins } from './helper.mjs'
import { Browser } from './web-checks.mjs'

const { Site } = await import('oauth-core/web')

const { generic: twin } = await twins()
const baseUrl = 'https://shop.example'
const env = { OAUTH_CLIENT_ID: 'shop', OAUTH_CLIENT_SECRET: 's', OAUTH_BASE_URL: baseUrl, OAUTH_KEY: Buffer.alloc(32, 7).toString('base64url') }
const at = (provider, options) => Site.fromEnv({ ...options, env: { ...env, OAUTH_PROVIDER: provider } })
const page = (path, headers) => new Request(`${baseUrl}${path}`, { headers: { accept: 'text/html', ...headers } })
const readCookies = (response) => response.headers.getSetCookie().filter((field) => !/max-age=0/i.test(field)).map((field) => field.split(';', 1)[0]).join('; ')

/** The scope in the authorization request. */
async function sent(site) {
  const response = await site.page(page('/auth/login'))
  assert.equal(response.status, 303)
  return new URL(response.headers.get('location')).searchParams.get('scope')
}

test('a preset defines the endpoint that identifies users', async () => {
  assert.equal(await sent(at('github')), null)
  assert.equal(await sent(at('github', { scope: ['read:user', 'user:email'] })), 'read:user user:email')
  assert.equal(await sent(at('docusign')), 'signature')
  assert.equal(await sent(at('google')), 'openid profile email')
  assert.equal(await sent(at('google', { scope: new Set(['openid', 'email']).values() })), 'openid email')
  assert.throws(() => at('github', { scope: 'openid' }), { code: 'web.setup', message: /openid, or an identity endpoint/ })
})

test('a provider that cannot identify users is rejected at startup', async () => {
  for (const options of [{}, { scope: 'users:read' }]) {
    assert.throws(() => at('withings', options), { code: 'web.setup', message: /withings has no OpenID Connect/ })
  }
  const identity = { url: 'https://wbsapi.withings.net/me', subject: 'id' }
  assert.equal(await sent(at('withings', { identity })), null)
  assert.equal(await sent(at('withings', { scope: 'openid' })), 'openid')
})

test('the configured identity endpoint identifies the user', async () => {
  await twin.register(`${baseUrl}/auth/callback`)
  const { clientId, clientSecret } = await twin.client()
  const site = Site.fromEnv({
    env: { ...env, OAUTH_ISSUER: twin.base, OAUTH_CLIENT_ID: clientId, OAUTH_CLIENT_SECRET: clientSecret },
    transport: 'loopback_http',
    scope: 'read',
    identity: { url: `${twin.base}/api/echo`, subject: 'sub', claims: { name: 'scope' } },
  })
  const begun = await site.page(page('/auth/login'))
  const { url } = await new Browser().open(begun.headers.get('location'), { until: ({ origin }) => origin === baseUrl })
  const back = await site.page(page(url.href.slice(baseUrl.length), { cookie: readCookies(begun) }))
  const { user } = await site.handle(page('/', { cookie: readCookies(back) }))
  assert.equal(user.subject, 'user-248289761001')
  assert.equal(user.name, 'read')
})
