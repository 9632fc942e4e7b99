// Sign-ins at a site whose provider signs its responses (JARM): npm's oidc-provider, and the FAPI twin for posted ones.
import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { test } from 'node:test'
import { Browser, core, fapiProvider, twins } from './helper.mjs'

const { Client, DpopKey, MemoryStore, discover, privateKeyJwt } = core
const { Site } = await import('oauth-core/web')

const transport = 'loopback_http'
const key = Buffer.alloc(32, 7)
const { issuer, clients } = await fapiProvider()
const server = await discover(issuer, { transport })
const { fapi } = await twins()
await fapi.register('https://shop.example/auth/callback')

function client(which, options) {
  const { client_id: clientId, private_key: key } = clients[which]
  return new Client(server, { clientId, clientAuth: privateKeyJwt(key, { alg: 'ES256' }), ...options })
}

async function clientOfTwin(options) {
  const { clientId, clientKey } = await fapi.client()
  const clientAuth = privateKeyJwt(clientKey)
  return new Client(await discover(fapi.base, { transport }), { clientId, clientAuth, dpopKey: await DpopKey.generate(), ...options })
}

/** A site that no socket serves: the provider knows one redirect URI, on any port. */
const at = (options) => new Site({ baseUrl: 'http://127.0.0.1', transport, callback: '/callback', scope: 'openid read', key, ...options })

/** The application, a user's browser, and the callback URL of the provider. */
async function arriving(site, origin) {
  const send = (path, { cookie, ...init } = {}) =>
    site.page(new Request(`${origin}${path}`, { ...init, headers: { accept: 'text/html', ...(cookie && { cookie }) } }))
  const begun = await send('/auth/login?return_to=/me')
  assert.equal(begun.status, 303, await begun.clone().text())
  const cookie = begun.headers.getSetCookie().map((field) => field.split(';', 1)[0]).join('; ')
  const there = await new Browser(({ origin: at }) => at === origin).open(new URL(begun.headers.get('location')))
  return { send, cookie, begun, ...there }
}

async function user(site, origin, back) {
  assert.deepEqual([back.status, back.headers.get('location')], [303, '/me'], await back.clone().text())
  const cookie = back.headers.getSetCookie().filter((field) => !/max-age=0/i.test(field)).map((field) => field.split(';', 1)[0]).join('; ')
  return (await site.handle(new Request(`${origin}/me`, { headers: { accept: 'text/html', cookie } }))).user
}

test('a signed response signs the user in, and extra unsigned parameters are rejected', async () => {
  const origin = 'http://127.0.0.1'
  for (const responseMode of ['jwt', 'query.jwt']) {
    const site = at({ client: client('browser', { requestObjectSigningAlg: 'ES256' }), responseMode })
    const { url, cookie, send } = await arriving(site, origin)
    assert.deepEqual([...url.searchParams.keys()], ['response'])
    const path = `${url.pathname}${url.search}`
    assert.equal((await user(site, origin, await send(path, { cookie }))).subject, 'somebody')
    const mixed = await send(`${path}&code=another`, { cookie })
    assert.equal(mixed.status, 400)
    assert.match(await mixed.text(), /callback\.mixed_response/)
    assert.ok(mixed.headers.getSetCookie().every((field) => /max-age=0/i.test(field)))
  }
})

test('an encrypted response signs the user in', async () => {
  const encrypted = client('encrypted', {
    authorizationEncryptedResponseAlg: 'ECDH-ES',
    authorizationEncryptedResponseEnc: 'A256GCM',
    decryptionKeys: [JSON.stringify(clients.encrypted.decryption_key)],
  })
  const site = at({ client: encrypted, responseMode: 'jwt' })
  const { url, cookie, send } = await arriving(site, 'http://127.0.0.1')
  assert.equal(url.searchParams.get('response').split('.').length, 5)
  const back = await send(`${url.pathname}${url.search}`, { cookie })
  assert.equal((await user(site, 'http://127.0.0.1', back)).subject, 'somebody')
})

test('a FAPI 2.0 Message Signing client signs in without a responseMode setting', async () => {
  const signing = client('signing', { dpopKey: await DpopKey.generate(), profile: 'fapi2_message_signing' })
  const site = at({ client: signing, store: new MemoryStore(), apiOrigins: [issuer] })
  const { url, cookie, send } = await arriving(site, 'http://127.0.0.1')
  assert.deepEqual([...url.searchParams.keys()], ['response'])
  const somebody = await user(site, 'http://127.0.0.1', await send(`${url.pathname}${url.search}`, { cookie }))
  assert.equal(somebody.subject, 'somebody')
  assert.equal((await (await somebody.fetch(`${issuer}/me`)).json()).sub, 'somebody')
})

test('a signed response is posted with the flow cookie', async () => {
  const origin = 'https://shop.example'
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  await fapi.encryptResponses(publicKey.export({ format: 'jwk' }), 'ECDH-ES', 'A256GCM')
  const encrypted = await clientOfTwin({
    authorizationEncryptedResponseAlg: 'ECDH-ES',
    authorizationEncryptedResponseEnc: 'A256GCM',
    decryptionKeys: [JSON.stringify(privateKey.export({ format: 'jwk' }))],
  })
  const site = new Site({ baseUrl: origin, key, client: encrypted, scope: 'openid read', responseMode: 'form_post.jwt' })
  const { begun, page, cookie, send } = await arriving(site, origin)
  assert.match(begun.headers.getSetCookie()[0], /; SameSite=None/)
  const [, response] = page.match(/name="response" value="([^"]*)"/)
  const post = (fields) => send('/auth/callback', { cookie, method: 'POST', body: new URLSearchParams(fields) })
  const mixed = await post({ response, error: 'access_denied' })
  assert.match(await mixed.text(), /callback\.mixed_response/)
  assert.equal((await user(site, origin, await post({ response }))).subject, 'user-248289761001')
  const expected = 'responseMode: expected one of "query", "form_post", "jwt", "query.jwt", "form_post.jwt"'
  for (const responseMode of ['fragment', 'fragment.jwt']) {
    const message = `${expected}: browsers do not send a fragment to servers`
    assert.throws(() => at({ client: encrypted, responseMode }), { name: 'TypeError', message })
  }
  assert.throws(() => at({ client: encrypted, responseMode: 'form_post.jwt' }), { code: 'web.setup', message: /SameSite=None/ })
})
