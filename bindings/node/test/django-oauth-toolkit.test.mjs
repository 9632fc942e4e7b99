// PyPI's django-oauth-toolkit: another server that this project did not write. A person signs in on its pages.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Browser, core, djangoOauthToolkit, filledIn } from './helper.mjs'

const { Client, PendingAuthorization, discover, provider } = core
const redirectUri = 'http://127.0.0.1/callback'
const home = 'http://127.0.0.1/signed-out'
const isHome = ({ href }) => href.startsWith(redirectUri) || href.startsWith(home)

const said = await djangoOauthToolkit()
const { issuer, clients } = said

/** A client of the server that said this, known by its preset. */
function clientOf({ issuer, clients }, which, { server, ...options } = {}) {
  const loopback = new URL(issuer).origin
  server ??= provider('django-oauth-toolkit', { variables: { host: 'moved.example' }, loopback })
  const { client_id: clientId, client_secret: clientSecret } = clients[which]
  const clientAuth = clientSecret ? 'client_secret_basic' : 'none'
  return new Client(server, { clientId, clientSecret, clientAuth, ...options })
}
const client = (which, options) => clientOf(said, which, options)

/** Asks for what the server offers to tests only. */
async function steer({ issuer }, what) {
  assert.equal((await fetch(new URL(what, issuer), { method: 'POST' })).status, 204)
}

/** Somebody with a browser, who fills in the forms of the server, and says yes. */
class Person {
  #browser = new Browser(isHome)
  #answers

  constructor({ person }) {
    this.#answers = { ...person, allow: 'yes', action: 'accept' }
  }

  /** Where the browser leaves the server for, or the page that has nothing to fill in. */
  async visit(start, answers = {}) {
    let [url, form] = [start, undefined]
    for (let turn = 0; turn < 6; turn += 1) {
      const { url: here, page } = await this.#browser.open(url, form)
      if (page === undefined) return here.href
      form = filledIn(page, { ...this.#answers, ...answers })
      if (form.size === 0) return page
      url = here
    }
    throw new Error(`the forms go round in circles: ${start}`)
  }

  async signIn(us, scope) {
    const { url, flow } = us.authorize({ redirectUri, scope })
    return us.redeem(flow, await this.visit(url))
  }
}
const person = () => new Person(said)

test('discovery finds the endpoints', async () => {
  const found = await discover(issuer, { transport: 'loopback_http' })
  assert.equal(found.issuer, issuer)
  for (const name of ['token', 'authorization', 'revocation', 'introspection']) {
    assert.ok(found.metadata[`${name}_endpoint`].startsWith(issuer), name)
  }
})

for (const clientAuth of ['client_secret_basic', 'client_secret_post']) {
  test(`client credentials with odd characters: ${clientAuth}`, async () => {
    const us = client('machine', { clientAuth })
    const { accessToken: token, scope, expiresIn } = await us.clientCredentials({ scope: 'read write' }).token()
    assert.deepEqual([scope, expiresIn], [['read', 'write'], 60])
    const state = await us.introspect({ token, tokenTypeHint: 'access_token' })
    assert.deepEqual([state.active, state.clientId], [true, clients.machine.client_id])
    await us.revoke({ token })
    assert.equal((await us.introspect({ token })).active, false)
  })

  test(`a wrong secret is refused by name: ${clientAuth}`, async () => {
    const us = client('machine', { clientAuth, clientSecret: 'wrong: +%/' })
    const error = await us.clientCredentials().token().catch((error) => error)
    assert.deepEqual([error.code, error.status], ['denied.invalid_client', 401])
    assert.ok(!String(error).includes('wrong: +%/'))
  })
}

for (const [which, alg, other] of [['web', 'RS256', 'HS256'], ['native', 'RS256', 'ES256'], ['hs256', 'HS256', 'RS256']]) {
  test(`a login, and who signed in: ${which}`, async () => {
    const us = client(which, { idTokenSignedResponseAlg: alg })
    const tokens = await person().signIn(us, 'openid profile email')
    const { iss, sub, nonce, at_hash: hash, email } = tokens.claims
    assert.deepEqual([iss, email], [issuer, 'somebody@app.example'])
    assert.ok(nonce && hash)
    assert.equal((await us.userinfo({ tokens, subject: sub })).claims.name, 'Some Body')
    await assert.rejects(us.userinfo({ tokens, subject: 'somebody else' }), { code: 'userinfo.subject' })
    const strange = client(which, { idTokenSignedResponseAlg: other })
    await assert.rejects(person().signIn(strange, 'openid'), { code: 'jws.alg_not_allowed' })
  })
}

for (const which of ['native', 'web']) {
  test(`refresh with rotation: ${which}`, async () => {
    const us = client(which)
    const first = await person().signIn(us, 'read')
    const second = await us.refresh({ tokens: first })
    assert.notEqual(second.refreshToken, first.refreshToken)
    // The server notices a token that is spent twice, and ends the grant.
    await assert.rejects(us.refresh({ tokens: first }), { code: 'denied.invalid_grant', advice: 'reauthorize' })
    await assert.rejects(us.refresh({ tokens: second }), { code: 'denied.invalid_grant' })
  })
}

test('revocation ends a refresh token, and takes unknown ones', async () => {
  const us = client('web')
  const tokens = await person().signIn(us, 'read')
  assert.equal((await us.introspect({ token: tokens.accessToken })).username, 'somebody')
  await us.revoke({ token: tokens.refreshToken, tokenTypeHint: 'refresh_token' })
  await us.revoke({ token: 'never-issued' })
  await assert.rejects(us.refresh({ tokens }), { code: 'denied.invalid_grant' })
})

test('a redirect URI that is not registered is refused on a page', async () => {
  const { url } = client('web').authorize({ redirectUri: 'http://127.0.0.1/elsewhere', scope: 'read' })
  await assert.rejects(person().visit(url), /authorize\/: 400/)
})

test('a verifier of another flow is refused', async () => {
  const us = client('web')
  const { url, flow } = us.authorize({ redirectUri, scope: 'read' })
  const other = JSON.parse(us.authorize({ redirectUri, scope: 'read' }).flow.serialize())
  // With the state of this flow: what a code injected from elsewhere meets.
  const stolen = PendingAuthorization.deserialize(JSON.stringify({ ...other, state: JSON.parse(flow.serialize()).state }))
  await assert.rejects(us.redeem(stolen, await person().visit(url)), { code: 'denied.invalid_grant' })
})

test('a denial does not name the issuer, though the metadata says so', async () => {
  const found = await discover(issuer, { transport: 'loopback_http' })
  const codes = [[undefined, 'denied.access_denied'], [found, 'callback.missing_issuer']]
  for (const [server, code] of codes) {
    const us = client('web', { server })
    const { url, flow } = us.authorize({ redirectUri, scope: 'read' })
    const callback = await person().visit(url, { allow: '' })
    await assert.rejects(us.redeem(flow, callback), { code })
  }
})

test('device authorization', async () => {
  const told = await client('device').deviceAuthorization({ scope: 'read' })
  assert.equal(told.interval, 5)
  assert.ok(String(told.verificationUri).startsWith(issuer))
  assert.match(await person().visit(told.verificationUri, { user_code: told.userCode }), /Authorized/)
})

test('a device is let in by its person', async () => {
  let page
  const show = (code) => {
    page = person().visit(code.verificationUri, { user_code: code.userCode })
  }
  const tokens = await core.login(client('device'), { scope: 'read', device: true, show })
  assert.match(await page, /Authorized/)
  assert.ok(String(tokens.scope) === 'read' && tokens.refreshToken)
})

const metadata = { redirect_uris: [redirectUri], token_endpoint_auth_method: 'none', client_name: 'App' }
const found = () => discover(issuer, { transport: 'loopback_http' })

test('a registered client signs people in', async () => {
  const server = await found()
  const told = await new Client(server, {}).register({ metadata })
  const us = new Client(server, { registered: told.stored })
  const tokens = await person().signIn(us, 'read')
  assert.equal(tokens.clientId, told.clientId)
  assert.notEqual((await us.refresh({ tokens })).accessToken, tokens.accessToken)
  // It does not say when a secret expires, as it has to (RFC 7591 section 3.2.1).
  const secret = { ...metadata, token_endpoint_auth_method: 'client_secret_basic' }
  const issued = await new Client(server, {}).register({ metadata: secret })
  assert.deepEqual(issued.warnings, ['secret_expiry_missing'])
  assert.ok((await person().signIn(new Client(server, { registered: issued.stored }), 'read')).refreshToken)
})

test('a registration is read, updated and deleted', async () => {
  const nobody = new Client(await found(), {})
  const first = await nobody.register({ metadata })
  const read = await nobody.readRegistration({ registered: first.stored })
  assert.deepEqual([read.clientId, read.metadata.client_name], [first.clientId, 'App'])
  const updated = await nobody.updateRegistration({ registered: read.stored, metadata: { ...metadata, client_name: 'New' } })
  assert.equal(updated.metadata.client_name, 'New')
  // The server has replaced the token.
  await assert.rejects(nobody.readRegistration({ registered: read.stored }), { code: 'denied.invalid_token' })
  await nobody.deleteRegistration({ registered: updated.stored })
  await assert.rejects(nobody.readRegistration({ registered: updated.stored }), { code: 'denied.invalid_token' })
})

test('an API says who issues its tokens', async () => {
  const api = new URL('/api', issuer).href
  const told = await new Client(await found(), { clientId: 'id' }).resourceMetadata({ resource: api })
  assert.deepEqual([told.resource, [...told.authorizationServers]], [api, [issuer]])
  assert.ok(told.scopesSupported.includes('read'))
  const closed = await fetch(api)
  const challenges = [closed.headers.get('www-authenticate')]
  assert.equal(closed.status, 401)
  // Its URL is on the origin that the caller named: it may lead to this machine.
  const again = await new Client(await found(), { clientId: 'id' }).resourceMetadata({ resource: api, challenges })
  assert.deepEqual(again.metadata, told.metadata)
})

test('documents of an API are about the path that was asked for', async () => {
  const api = new URL('/api', issuer).href
  const nobody = new Client(await found(), { clientId: 'id' })
  assert.equal((await nobody.resourceMetadata({ resource: `${api}/below` })).resource, `${api}/below`)
  await assert.rejects(nobody.resourceMetadata({ resource: `${api}/` }), { code: 'resource_metadata.resource' })
  assert.equal((await nobody.resourceMetadata({ resource: `${api}/`, matching: 'parent' })).resource, api)
})

test('keys are replaced while a client runs', async () => {
  // Others would notice.
  const own = await djangoOauthToolkit()
  const [us, somebody] = [clientOf(own, 'web'), new Person(own)]
  const headers = new Set()
  for (let turn = 0; turn < 2; turn += 1) {
    const { idToken } = await somebody.signIn(us, 'openid')
    headers.add(idToken.split('.')[0])
    await steer(own, '/_rotate')
  }
  assert.equal(headers.size, 2, 'each was signed with another key')
})

test('an ID token of a refresh tells of the last login', async () => {
  const own = await djangoOauthToolkit()
  const server = await discover(own.issuer, { transport: 'loopback_http' })
  const [plain, byPreset, somebody] = [clientOf(own, 'web', { server }), clientOf(own, 'native'), new Person(own)]
  // The session of this browser is an hour old when the clients are signed in to.
  await somebody.signIn(plain, 'openid')
  await steer(own, '/_pass_an_hour')
  const [first, second] = [await somebody.signIn(plain, 'openid'), await somebody.signIn(byPreset, 'openid')]
  await new Person(own).signIn(plain, 'openid')
  await assert.rejects(plain.refresh({ tokens: first }), { code: 'id_token.auth_time_changed' })
  assert.ok((await byPreset.refresh({ tokens: second })).idToken)
})

test('a logout comes home', async () => {
  const own = await djangoOauthToolkit()
  const [us, somebody] = [clientOf(own, 'web'), new Person(own)]
  const tokens = await somebody.signIn(us, 'openid')
  const state = 'a +%/ state'
  const url = us.endSessionUrl({ idTokenHint: tokens.idToken, postLogoutRedirectUri: home, state })
  const back = new URL(await somebody.visit(url))
  assert.ok(back.href.startsWith(home))
  assert.deepEqual([...back.searchParams], [['state', state]])
  // The session is gone, and the grant has ended with it.
  const silent = us.authorize({ redirectUri, scope: 'read', extra: { prompt: 'none' } })
  assert.match(await somebody.visit(silent.url), /error=login_required/)
  await assert.rejects(us.refresh({ tokens }), { code: 'denied.invalid_grant' })
})

test('of two documents the preferred one is read', async () => {
  const endpoints = async (how) => {
    const { metadata } = await discover(issuer, { transport: 'loopback_http', ...how })
    return ['userinfo_endpoint', 'revocation_endpoint'].filter((name) => name in metadata)
  }
  assert.deepEqual(await endpoints(), ['revocation_endpoint'])
  assert.deepEqual(await endpoints({ prefer: 'openid' }), ['userinfo_endpoint'])
  await assert.rejects(endpoints({ prefer: 'saml' }), /prefer/)
})
