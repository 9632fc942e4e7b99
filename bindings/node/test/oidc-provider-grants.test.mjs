// Grants without a browser on the client, and dynamic registration, against npm's oidc-provider.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { Browser, followToCallback, core, fillForm, listen, oidcProvider, rejection } from './helper.mjs'

const { AccessTokenVerifier, Client, discover, privateKeyJwt } = core
const api = 'https://api.example/'
const redirectUri = 'http://127.0.0.1/callback'
const scope = 'openid read'
const message = 'W4SCT'

/** A client, over the native transport and over `fetch`. */
const ways = { native: {}, fetch: { fetch: globalThis.fetch } }

/** The client that is notified, the request to approve, and the received notifications. */
const awaited = { ownClient: undefined, request: undefined, verdicts: [] }

/** The client's notification endpoint: the library verifies each notification and determines the response. */
const notificationEndpoint = await listen(async (request, response) => {
  let body = ''
  for await (const part of request) body += part
  const { ownClient, request: { authReqId, clientNotificationToken } } = awaited
  const { method, url, headers: { authorization } } = request
  const respond = (verdict, status, headers) => {
    awaited.verdicts.push(`${method} ${url} ${verdict}`)
    response.writeHead(status, headers).end()
  }
  await ownClient.verifyPing({ authReqId, clientNotificationToken, authorization, body }).then(
    () => respond('ours', 204),
    ({ code, responseStatus, challenge }) => respond(code, responseStatus ?? 500, challenge && { 'www-authenticate': challenge }),
  )
})
const notificationUri = `${notificationEndpoint}/notified`
const { issuer, clients } = await oidcProvider({ BACKCHANNEL_NOTIFICATION_URI: notificationUri })
const server = await discover(issuer, { transport: 'loopback_http' })

function client(which, options) {
  const { client_id: clientId, client_secret: clientSecret } = clients[which]
  return new Client(server, { clientId, clientSecret, clientAuth: 'client_secret_basic', ...options })
}

/** The number of polls of this client to which the token endpoint responded without tokens. */
async function refusals({ clientId }) {
  return (await (await fetch(`${issuer}/_counters/${clientId}`)).json()).refused
}

/** Runs `act` after the client's next poll that returns no tokens; `done` is the promise of its result. */
async function afterNextPendingPoll(client, act) {
  const before = await refusals(client)
  const wait = async () => {
    const end = Date.now() + 30_000
    while (await refusals(client) === before) {
      assert.ok(Date.now() < end, 'nobody asks')
      await pause(20)
    }
    return act()
  }
  return { done: wait() }
}

/** The user opens the page, enters the code and presses the button; returns the server's response. */
async function visit(url, { verificationUri, userCode }, pressed = {}) {
  const browser = new Browser(() => false)
  const formValues = { user_code: userCode }
  const enter = await browser.open(url)
  const confirm = await browser.open(verificationUri, fillForm(enter.page, formValues))
  const form = fillForm(confirm.page, formValues)
  for (const [name, value] of Object.entries(pressed)) form.set(name, value)
  return (await browser.open(verificationUri, form)).page
}

const waiting = ({ deviceCode, expiresAt }) => ({ deviceCode, expiresAt, interval: 1, scope })

/** The user reads the message on their device, and approves or denies. */
async function decide(verdict) {
  const response = await fetch(`${issuer}/_answer/${verdict}`, { method: 'POST' })
  assert.deepEqual([await response.text(), response.status], [message, 200])
}

async function beginBackchannel(client, more) {
  const backchannelOptions = { loginHint: 'somebody', bindingMessage: message, requestedExpiry: 60, scope }
  const request = await client.backchannelAuthentication({ ...backchannelOptions, ...more })
  assert.deepEqual([request.expiresIn, request.interval], [60, 5])
  return request
}

/** A request that the client is notified about. */
async function begunWithPing(client) {
  const request = await beginBackchannel(client, { tokenDeliveryMode: 'ping' })
  Object.assign(awaited, { ownClient: client, request, verdicts: [] })
  return request
}

const requestedMetadata = {
  redirect_uris: [redirectUri],
  grant_types: ['authorization_code', 'refresh_token'],
  scope: 'openid offline_access read',
  client_name: 'App',
}
const bySecret = {
  ...requestedMetadata,
  token_endpoint_auth_method: 'client_secret_basic',
  grant_types: [...requestedMetadata.grant_types, 'client_credentials'],
}

for (const [way, options] of Object.entries(ways)) {
  test(`a device gets tokens after the user enters the code: ${way}`, async () => {
    const ownClient = client('device', options)
    const code = await ownClient.deviceAuthorization({ scope })
    assert.ok(String(code.verificationUri).startsWith(issuer))
    assert.equal(code.interval, 5)
    const person = await afterNextPendingPoll(ownClient, () => visit(code.verificationUri, code))
    assert.equal((await ownClient.pollDeviceToken(waiting(code))).claims.sub, 'somebody')
    assert.equal(await person.done, 'signed in')
    // A code can be used only once.
    await assert.rejects(ownClient.pollDeviceToken(waiting(code)), { code: 'denied.invalid_grant' })
  })

  test(`the user denies a device: ${way}`, async () => {
    const ownClient = client('device', options)
    const code = await ownClient.deviceAuthorization({ scope })
    await visit(code.verificationUriComplete, code, { abort: 'yes' })
    await assert.rejects(ownClient.pollDeviceToken(waiting(code)), { code: 'denied.access_denied' })
  })

  test(`a device gets tokens for the requested resource only: ${way}`, async () => {
    const ownClient = client('device', options)
    const polled = async (resource) => {
      const code = await ownClient.deviceAuthorization({ scope, resource: [api] })
      await visit(code.verificationUri, code)
      return ownClient.pollDeviceToken({ ...waiting(code), resource: [resource] })
    }
    const tokens = await polled(api)
    assert.equal(tokens.claims.sub, 'somebody')
    const verified = await new AccessTokenVerifier(server, { audience: api, scope: 'read' }).verify(tokens.accessToken)
    assert.equal(verified.clientId, 'device')
    await assert.rejects(polled('https://other.example/'), { code: 'denied.invalid_target' })
  })

  test(`the user approves on their own device: ${way}`, async () => {
    const ownClient = client('ciba-poll', options)
    const polled = async (verdict) => {
      const { authReqId, expiresAt } = await beginBackchannel(ownClient)
      const person = await afterNextPendingPoll(ownClient, () => decide(verdict))
      const login = ownClient.pollBackchannelToken({ authReqId, expiresAt, interval: 1, scope })
      const [ended] = await Promise.allSettled([login, person.done])
      await person.done
      return ended.value ?? ended.reason
    }
    assert.equal((await polled('yes')).claims.sub, 'somebody')
    assert.equal((await polled('no')).code, 'denied.access_denied')
    const denied = await rejection(ownClient.backchannelAuthentication({ loginHint: 'a stranger', scope }))
    assert.deepEqual([denied.code, denied.error], ['denied.other', 'unknown_user_id'])
  })

  test(`the client is notified after the user decides: ${way}`, async () => {
    const ownClient = client('ciba-ping', options)
    const before = await refusals(ownClient)
    const first = await begunWithPing(ownClient)
    // The server waits for the client, and tells the user's device if the notification was not accepted.
    await decide('yes')
    assert.deepEqual(awaited.verdicts, ['POST /notified ours'])
    const { claims } = await ownClient.pollBackchannelToken({ authReqId: first.authReqId, scope })
    assert.equal(claims.sub, 'somebody')
    assert.equal(await refusals(ownClient), before, 'the client polled only once')

    const { authReqId } = await begunWithPing(ownClient)
    assert.deepEqual(awaited.verdicts, [], 'the user has not decided yet')
    await decide('no')
    assert.deepEqual(awaited.verdicts, ['POST /notified ours'])
    await assert.rejects(ownClient.pollBackchannelToken({ authReqId, scope }), { code: 'denied.access_denied' })
  })

  test(`notifications with another token or request ID are rejected: ${way}`, async () => {
    const { authReqId, clientNotificationToken } = await begunWithPing(client('ciba-ping', options))
    const posted = async (token, id) => {
      const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
      const reply = await fetch(notificationUri, { method: 'POST', headers, body: JSON.stringify({ auth_req_id: id }) })
      return [reply.status, reply.headers.get('www-authenticate')]
    }
    assert.deepEqual(await posted('another', authReqId), [401, 'Bearer'])
    assert.deepEqual(await posted(clientNotificationToken, 'another'), [400, null])
    await decide('yes')
    const verdicts = ['ciba.client_notification_token', 'ciba.unknown_request', 'ours']
    assert.deepEqual(awaited.verdicts, verdicts.map((verdict) => `POST /notified ${verdict}`))
  })

  test(`a ping-mode client must send a notification token: ${way}`, async () => {
    await assert.rejects(beginBackchannel(client('ciba-ping', options)), { code: 'denied.invalid_request' })
  })

  for (const method of ['client_secret_basic', 'client_secret_post', 'none']) {
    test(`a registered client signs users in: ${method}, ${way}`, async () => {
      const metadata = { ...requestedMetadata, token_endpoint_auth_method: method }
      const newRegistration = await new Client(server, options).register({ metadata })
      assert.equal(newRegistration.tokenEndpointAuthMethod, method)
      assert.equal(newRegistration.clientSecret === undefined, method === 'none')
      const ownClient = new Client(server, { registered: newRegistration.stored, ...options })
      const { url, flow } = ownClient.authorize({ redirectUri, scope })
      const tokens = await ownClient.redeem(flow, await followToCallback(url, redirectUri))
      assert.equal(tokens.claims.sub, 'somebody')
      assert.notEqual((await ownClient.refresh({ tokens })).accessToken, tokens.accessToken)
    })
  }

  test(`a client registers its public key and authenticates with the private key: ${way}`, async () => {
    const clientAuth = privateKeyJwt(clients['key-ES256'].private_key, { alg: 'ES256' })
    const metadata = { ...bySecret, token_endpoint_auth_method: 'private_key_jwt', jwks: clientAuth.publicJwks() }
    const { clientSecret, stored } = await new Client(server, options).register({ metadata })
    assert.equal(clientSecret, undefined)
    const ownClient = new Client(server, { registered: stored, clientAuth, ...options })
    assert.deepEqual((await ownClient.clientCredentials({ scope: 'read' }).token()).scope, ['read'])
    assert.throws(() => new Client(server, { registered: stored, ...options }), { code: 'client_auth.no_usable_method' })
  })

  test(`a registration is read, updated and deleted: ${way}`, async () => {
    const unregisteredClient = new Client(server, options)
    const token = (stored) => new Client(server, { registered: stored, ...options }).clientCredentials({ scope: 'read' }).token()
    const first = await unregisteredClient.register({ metadata: bySecret })
    const read = await unregisteredClient.readRegistration({ registered: first.stored })
    assert.deepEqual([read.clientId, read.metadata.client_name], [first.clientId, 'App'])

    const metadata = { ...bySecret, client_name: 'New' }
    const updated = await unregisteredClient.updateRegistration({ registered: read.stored, metadata })
    assert.deepEqual([updated.clientId, updated.metadata.client_name], [first.clientId, 'New'])
    // The server has replaced the registration access token, and the new one works.
    assert.notEqual(updated.registrationAccessToken, read.registrationAccessToken)
    await assert.rejects(unregisteredClient.readRegistration({ registered: read.stored }), { code: 'denied.invalid_token' })
    const { metadata: currentMetadata, stored: registered } = await unregisteredClient.readRegistration({ registered: updated.stored })
    assert.equal(currentMetadata.client_name, 'New')
    assert.ok((await token(registered)).accessToken)

    await unregisteredClient.deleteRegistration({ registered })
    await assert.rejects(unregisteredClient.readRegistration({ registered }), { code: 'denied.invalid_token' })
    await assert.rejects(token(registered), { code: 'denied.invalid_client' })
  })
}

test('metadata that the server rejects is reported with its error code', async () => {
  const unregisteredClient = new Client(server, {})
  const register = (more) => unregisteredClient.register({ metadata: { ...requestedMetadata, token_endpoint_auth_method: 'none', ...more } })
  // A native application cannot claim an https URI on `localhost`, which every machine resolves to itself.
  const claimed = { redirect_uris: [redirectUri, 'https://localhost/callback'], application_type: 'native' }
  await assert.rejects(register(claimed), { code: 'denied.invalid_redirect_uri' })
  await assert.rejects(register({ grant_types: ['authorization_code', 'odd'] }), { code: 'denied.invalid_client_metadata' })
})

test('an initial access token permits registration', async () => {
  const serverProcess = await oidcProvider({ INITIAL_ACCESS_TOKEN: 'S3CR3T-init' })
  const unregisteredClient = new Client(await discover(serverProcess.issuer, { transport: 'loopback_http' }), {})
  const metadata = { ...requestedMetadata, token_endpoint_auth_method: 'none' }
  await assert.rejects(unregisteredClient.register({ metadata }), { kind: 'denied' })
  const refused = await rejection(unregisteredClient.register({ metadata, initialAccessToken: 'S3CR3T-other' }))
  assert.equal(refused.code, 'denied.invalid_token')
  assert.ok(!String(refused).includes('S3CR3T'))
  assert.ok((await unregisteredClient.register({ metadata, initialAccessToken: 'S3CR3T-init' })).clientId)
})
