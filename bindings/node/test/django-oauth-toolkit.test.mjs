// PyPI's django-oauth-toolkit: an authorization server of other authors. The user signs in on its pages.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Browser, core, djangoOauthToolkit, fillForm } from './helper.mjs'

const { Client, PendingAuthorization, discover, provider } = core
const redirectUri = 'http://127.0.0.1/callback'
const home = 'http://127.0.0.1/signed-out'
const isHome = ({ href }) => href.startsWith(redirectUri) || href.startsWith(home)

const serverInfo = await djangoOauthToolkit()
const { issuer, clients } = serverInfo

/** A client of the server that said this, known by its preset. */
function createClient({ issuer, clients }, which, { server, ...options } = {}) {
  const loopback = new URL(issuer).origin
  server ??= provider('django-oauth-toolkit', { variables: { host: 'moved.example' }, loopback })
  const { client_id: clientId, client_secret: clientSecret } = clients[which]
  const clientAuth = clientSecret ? 'client_secret_basic' : 'none'
  return new Client(server, { clientId, clientSecret, clientAuth, ...options })
}
const client = (which, options) => createClient(serverInfo, which, options)

/** Sends a control request, which the server supports for tests only. */
async function control({ issuer }, what) {
  assert.equal((await fetch(new URL(what, issuer), { method: 'POST' })).status, 204)
}

/** A user with a browser, who fills in the server's forms and approves. */
class Person {
  #browser = new Browser(isHome)
  #answers

  constructor({ person }) {
    this.#answers = { ...person, allow: 'yes', action: 'accept' }
  }

  /** Where the browser leaves the server for, or the page that has nothing to fill in. */
  async visit(start, formValues = {}) {
    let [url, form] = [start, undefined]
    for (let turn = 0; turn < 6; turn += 1) {
      const { url: currentUrl, page } = await this.#browser.open(url, form)
      if (page === undefined) return currentUrl.href
      form = fillForm(page, { ...this.#answers, ...formValues })
      if (form.size === 0) return page
      url = currentUrl
    }
    throw new Error(`the forms go round in circles: ${start}`)
  }

  async signIn(client, scope) {
    const { url, flow } = client.authorize({ redirectUri, scope })
    return client.redeem(flow, await this.visit(url))
  }
}
const person = () => new Person(serverInfo)

test('discovery returns the endpoints', async () => {
  const found = await discover(issuer, { transport: 'loopback_http' })
  assert.equal(found.issuer, issuer)
  for (const name of ['token', 'authorization', 'revocation', 'introspection']) {
    assert.ok(found.metadata[`${name}_endpoint`].startsWith(issuer), name)
  }
})

for (const clientAuth of ['client_secret_basic', 'client_secret_post']) {
  test(`client credentials with special characters are accepted: ${clientAuth}`, async () => {
    const ownClient = client('machine', { clientAuth })
    const { accessToken: token, scope, expiresIn } = await ownClient.clientCredentials({ scope: 'read write' }).token()
    assert.deepEqual([scope, expiresIn], [['read', 'write'], 60])
    const state = await ownClient.introspect({ token, tokenTypeHint: 'access_token' })
    assert.deepEqual([state.active, state.clientId], [true, clients.machine.client_id])
    await ownClient.revoke({ token })
    assert.equal((await ownClient.introspect({ token })).active, false)
  })

  test(`a wrong client secret is reported as invalid_client: ${clientAuth}`, async () => {
    const ownClient = client('machine', { clientAuth, clientSecret: 'wrong: +%/' })
    const error = await ownClient.clientCredentials().token().catch((error) => error)
    assert.deepEqual([error.code, error.status], ['denied.invalid_client', 401])
    assert.ok(!String(error).includes('wrong: +%/'))
  })
}

for (const [which, alg, other] of [['web', 'RS256', 'HS256'], ['native', 'RS256', 'ES256'], ['hs256', 'HS256', 'RS256']]) {
  test(`the ID token and UserInfo of a login are verified: ${which}`, async () => {
    const ownClient = client(which, { idTokenSignedResponseAlg: alg })
    const tokens = await person().signIn(ownClient, 'openid profile email')
    const { iss, sub, nonce, at_hash: hash, email } = tokens.claims
    assert.deepEqual([iss, email], [issuer, 'somebody@app.example'])
    assert.ok(nonce && hash)
    assert.equal((await ownClient.userinfo({ tokens, subject: sub })).claims.name, 'Some Body')
    await assert.rejects(ownClient.userinfo({ tokens, subject: 'somebody else' }), { code: 'userinfo.subject' })
    const clientExpectingOtherAlg = client(which, { idTokenSignedResponseAlg: other })
    await assert.rejects(person().signIn(clientExpectingOtherAlg, 'openid'), { code: 'jws.alg_not_allowed' })
  })
}

for (const which of ['native', 'web']) {
  test(`refresh tokens rotate, and reuse revokes the grant: ${which}`, async () => {
    const ownClient = client(which)
    const first = await person().signIn(ownClient, 'read')
    const second = await ownClient.refresh({ tokens: first })
    assert.notEqual(second.refreshToken, first.refreshToken)
    // The server detects a reused token, and revokes the grant.
    await assert.rejects(ownClient.refresh({ tokens: first }), { code: 'denied.invalid_grant', advice: 'reauthorize' })
    await assert.rejects(ownClient.refresh({ tokens: second }), { code: 'denied.invalid_grant' })
  })
}

test('a refresh token can be revoked, and revoking an unknown token succeeds', async () => {
  const ownClient = client('web')
  const tokens = await person().signIn(ownClient, 'read')
  assert.equal((await ownClient.introspect({ token: tokens.accessToken })).username, 'somebody')
  await ownClient.revoke({ token: tokens.refreshToken, tokenTypeHint: 'refresh_token' })
  await ownClient.revoke({ token: 'never-issued' })
  await assert.rejects(ownClient.refresh({ tokens }), { code: 'denied.invalid_grant' })
})

test('an unregistered redirect URI is rejected with an error page', async () => {
  const { url } = client('web').authorize({ redirectUri: 'http://127.0.0.1/elsewhere', scope: 'read' })
  await assert.rejects(person().visit(url), /authorize\/: 400/)
})

test('a code is rejected with the verifier of another flow', async () => {
  const ownClient = client('web')
  const { url, flow } = ownClient.authorize({ redirectUri, scope: 'read' })
  const other = JSON.parse(ownClient.authorize({ redirectUri, scope: 'read' }).flow.serialize())
  // With the state of this flow, as an injected code from another flow would have.
  const stolen = PendingAuthorization.deserialize(JSON.stringify({ ...other, state: JSON.parse(flow.serialize()).state }))
  await assert.rejects(ownClient.redeem(stolen, await person().visit(url)), { code: 'denied.invalid_grant' })
})

test('a denial without iss is rejected if the metadata announces iss', async () => {
  const found = await discover(issuer, { transport: 'loopback_http' })
  const codes = [[undefined, 'denied.access_denied'], [found, 'callback.missing_issuer']]
  for (const [server, code] of codes) {
    const ownClient = client('web', { server })
    const { url, flow } = ownClient.authorize({ redirectUri, scope: 'read' })
    const callback = await person().visit(url, { allow: '' })
    await assert.rejects(ownClient.redeem(flow, callback), { code })
  }
})

test('device authorization returns a code that the user can enter', async () => {
  const device = await client('device').deviceAuthorization({ scope: 'read' })
  assert.equal(device.interval, 5)
  assert.ok(String(device.verificationUri).startsWith(issuer))
  assert.match(await person().visit(device.verificationUri, { user_code: device.userCode }), /Authorized/)
})

test('a device login completes when the user approves it', async () => {
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

test('a registered client logs users in', async () => {
  const server = await found()
  const registration = await new Client(server, {}).register({ metadata })
  const client = new Client(server, { registered: registration.stored })
  const tokens = await person().signIn(client, 'read')
  assert.equal(tokens.clientId, registration.clientId)
  assert.notEqual((await client.refresh({ tokens })).accessToken, tokens.accessToken)
  // It does not say when a secret expires, as it has to (RFC 7591 section 3.2.1).
  const secret = { ...metadata, token_endpoint_auth_method: 'client_secret_basic' }
  const issued = await new Client(server, {}).register({ metadata: secret })
  assert.deepEqual(issued.warnings, ['secret_expiry_missing'])
  assert.ok((await person().signIn(new Client(server, { registered: issued.stored }), 'read')).refreshToken)
})

test('a registration is read, updated and deleted', async () => {
  const unregisteredClient = new Client(await found(), {})
  const first = await unregisteredClient.register({ metadata })
  const read = await unregisteredClient.readRegistration({ registered: first.stored })
  assert.deepEqual([read.clientId, read.metadata.client_name], [first.clientId, 'App'])
  const updated = await unregisteredClient.updateRegistration({ registered: read.stored, metadata: { ...metadata, client_name: 'New' } })
  assert.equal(updated.metadata.client_name, 'New')
  // The server has replaced the token.
  await assert.rejects(unregisteredClient.readRegistration({ registered: read.stored }), { code: 'denied.invalid_token' })
  await unregisteredClient.deleteRegistration({ registered: updated.stored })
  await assert.rejects(unregisteredClient.readRegistration({ registered: updated.stored }), { code: 'denied.invalid_token' })
})

test('resource metadata names the authorization server of an API', async () => {
  const api = new URL('/api', issuer).href
  const resourceMetadata = await new Client(await found(), { clientId: 'id' }).resourceMetadata({ resource: api })
  assert.deepEqual([resourceMetadata.resource, [...resourceMetadata.authorizationServers]], [api, [issuer]])
  assert.ok(resourceMetadata.scopesSupported.includes('read'))
  const closed = await fetch(api)
  const challenges = [closed.headers.get('www-authenticate')]
  assert.equal(closed.status, 401)
  // Its URL is on the origin that the caller named: it may lead to this machine.
  const again = await new Client(await found(), { clientId: 'id' }).resourceMetadata({ resource: api, challenges })
  assert.deepEqual(again.metadata, resourceMetadata.metadata)
})

test('resource metadata must match the requested path', async () => {
  const api = new URL('/api', issuer).href
  const unregisteredClient = new Client(await found(), { clientId: 'id' })
  assert.equal((await unregisteredClient.resourceMetadata({ resource: `${api}/below` })).resource, `${api}/below`)
  await assert.rejects(unregisteredClient.resourceMetadata({ resource: `${api}/` }), { code: 'resource_metadata.resource' })
  assert.equal((await unregisteredClient.resourceMetadata({ resource: `${api}/`, matching: 'parent' })).resource, api)
})

test('a login succeeds after the signing keys of the server are rotated', async () => {
  // Others would notice.
  const serverProcess = await djangoOauthToolkit()
  const [client, somebody] = [createClient(serverProcess, 'web'), new Person(serverProcess)]
  const headers = new Set()
  for (let turn = 0; turn < 2; turn += 1) {
    const { idToken } = await somebody.signIn(client, 'openid')
    headers.add(idToken.split('.')[0])
    await control(serverProcess, '/_rotate')
  }
  assert.equal(headers.size, 2, 'each was signed with another key')
})

test('a refresh is rejected if auth_time changed, unless the preset allows it', async () => {
  const serverProcess = await djangoOauthToolkit()
  const server = await discover(serverProcess.issuer, { transport: 'loopback_http' })
  const [plain, byPreset, somebody] = [createClient(serverProcess, 'web', { server }), createClient(serverProcess, 'native'), new Person(serverProcess)]
  // The session of this browser is an hour old when the clients are signed in to.
  await somebody.signIn(plain, 'openid')
  await control(serverProcess, '/_pass_an_hour')
  const [first, second] = [await somebody.signIn(plain, 'openid'), await somebody.signIn(byPreset, 'openid')]
  await new Person(serverProcess).signIn(plain, 'openid')
  await assert.rejects(plain.refresh({ tokens: first }), { code: 'id_token.auth_time_changed' })
  assert.ok((await byPreset.refresh({ tokens: second })).idToken)
})

test('a logout returns to the application', async () => {
  const serverProcess = await djangoOauthToolkit()
  const [client, somebody] = [createClient(serverProcess, 'web'), new Person(serverProcess)]
  const tokens = await somebody.signIn(client, 'openid')
  const state = 'a +%/ state'
  const url = client.endSessionUrl({ idTokenHint: tokens.idToken, postLogoutRedirectUri: home, state })
  const returned = new URL(await somebody.visit(url))
  assert.ok(returned.href.startsWith(home))
  assert.deepEqual([...returned.searchParams], [['state', state]])
  // The session is gone, and the grant has ended with it.
  const silent = client.authorize({ redirectUri, scope: 'read', extra: { prompt: 'none' } })
  assert.match(await somebody.visit(silent.url), /error=login_required/)
  await assert.rejects(client.refresh({ tokens }), { code: 'denied.invalid_grant' })
})

test('discovery reads the preferred metadata document', async () => {
  const endpoints = async (options) => {
    const { metadata } = await discover(issuer, { transport: 'loopback_http', ...options })
    return ['userinfo_endpoint', 'revocation_endpoint'].filter((name) => name in metadata)
  }
  assert.deepEqual(await endpoints(), ['revocation_endpoint'])
  assert.deepEqual(await endpoints({ prefer: 'openid' }), ['userinfo_endpoint'])
  await assert.rejects(endpoints({ prefer: 'saml' }), /prefer/)
})
