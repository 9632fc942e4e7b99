// Grants without a browser of the client's, and clients that register themselves, at npm's oidc-provider.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { Browser, callbackOf, core, filledIn, listen, oidcProvider, rejection } from './helper.mjs'

const { AccessTokenVerifier, Client, discover, privateKeyJwt } = core
const api = 'https://api.example/'
const redirectUri = 'http://127.0.0.1/callback'
const scope = 'openid read'
const message = 'W4SCT'

/** A client, over the native transport and over `fetch`. */
const ways = { native: {}, fetch: { fetch: globalThis.fetch } }

/** The client that is notified, the request that its person is asked for, and what came. */
const awaited = { us: undefined, request: undefined, verdicts: [] }

/** The client's own endpoint: it judges what comes, and answers what the library says. */
const mailbox = await listen(async (request, response) => {
  let body = ''
  for await (const part of request) body += part
  const { us, request: { authReqId, clientNotificationToken } } = awaited
  const { method, url, headers: { authorization } } = request
  const answer = (verdict, status, headers) => {
    awaited.verdicts.push(`${method} ${url} ${verdict}`)
    response.writeHead(status, headers).end()
  }
  await us.verifyPing({ authReqId, clientNotificationToken, authorization, body }).then(
    () => answer('ours', 204),
    ({ code, responseStatus, challenge }) => answer(code, responseStatus ?? 500, challenge && { 'www-authenticate': challenge }),
  )
})
const notificationUri = `${mailbox}/notified`
const { issuer, clients } = await oidcProvider({ BACKCHANNEL_NOTIFICATION_URI: notificationUri })
const server = await discover(issuer, { transport: 'loopback_http' })

function client(which, options) {
  const { client_id: clientId, client_secret: clientSecret } = clients[which]
  return new Client(server, { clientId, clientSecret, clientAuth: 'client_secret_basic', ...options })
}

/** How often the token endpoint had no tokens for this client. */
async function refusals({ clientId }) {
  return (await (await fetch(`${issuer}/_counters/${clientId}`)).json()).refused
}

/** Does this once the client has asked in vain from now on, and is `done` then. */
async function onceToldToWait(us, act) {
  const before = await refusals(us)
  const wait = async () => {
    const end = Date.now() + 30_000
    while (await refusals(us) === before) {
      assert.ok(Date.now() < end, 'nobody asks')
      await pause(20)
    }
    return act()
  }
  return { done: wait() }
}

/** The person opens the page, enters the code, and presses what is there to press: what the server says then. */
async function visit(url, { verificationUri, userCode }, pressed = {}) {
  const browser = new Browser(() => false)
  const answers = { user_code: userCode }
  const enter = await browser.open(url)
  const confirm = await browser.open(verificationUri, filledIn(enter.page, answers))
  const form = filledIn(confirm.page, answers)
  for (const [name, value] of Object.entries(pressed)) form.set(name, value)
  return (await browser.open(verificationUri, form)).page
}

const waiting = ({ deviceCode, expiresAt }) => ({ deviceCode, expiresAt, interval: 1, scope })

/** The person looks at their device, sees the message, and answers. */
async function answer(verdict) {
  const told = await fetch(`${issuer}/_answer/${verdict}`, { method: 'POST' })
  assert.deepEqual([await told.text(), told.status], [message, 200])
}

async function begun(us, more) {
  const asked = { loginHint: 'somebody', bindingMessage: message, requestedExpiry: 60, scope }
  const request = await us.backchannelAuthentication({ ...asked, ...more })
  assert.deepEqual([request.expiresIn, request.interval], [60, 5])
  return request
}

/** A request that the client is notified about. */
async function begunWithPing(us) {
  const request = await begun(us, { tokenDeliveryMode: 'ping' })
  Object.assign(awaited, { us, request, verdicts: [] })
  return request
}

const asked = {
  redirect_uris: [redirectUri],
  grant_types: ['authorization_code', 'refresh_token'],
  scope: 'openid offline_access read',
  client_name: 'App',
}
const bySecret = {
  ...asked,
  token_endpoint_auth_method: 'client_secret_basic',
  grant_types: [...asked.grant_types, 'client_credentials'],
}

for (const [way, options] of Object.entries(ways)) {
  test(`a device signs in once its person has entered the code: ${way}`, async () => {
    const us = client('device', options)
    const code = await us.deviceAuthorization({ scope })
    assert.ok(String(code.verificationUri).startsWith(issuer))
    assert.equal(code.interval, 5)
    const person = await onceToldToWait(us, () => visit(code.verificationUri, code))
    assert.equal((await us.pollDeviceToken(waiting(code))).claims.sub, 'somebody')
    assert.equal(await person.done, 'signed in')
    // A code is good once.
    await assert.rejects(us.pollDeviceToken(waiting(code)), { code: 'denied.invalid_grant' })
  })

  test(`a person says no to a device: ${way}`, async () => {
    const us = client('device', options)
    const code = await us.deviceAuthorization({ scope })
    await visit(code.verificationUriComplete, code, { abort: 'yes' })
    await assert.rejects(us.pollDeviceToken(waiting(code)), { code: 'denied.access_denied' })
  })

  test(`a device gets tokens for the resource it asked for: ${way}`, async () => {
    const us = client('device', options)
    const polled = async (resource) => {
      const code = await us.deviceAuthorization({ scope, resource: [api] })
      await visit(code.verificationUri, code)
      return us.pollDeviceToken({ ...waiting(code), resource: [resource] })
    }
    const tokens = await polled(api)
    assert.equal(tokens.claims.sub, 'somebody')
    const told = await new AccessTokenVerifier(server, { audience: api, scope: 'read' }).verify(tokens.accessToken)
    assert.equal(told.clientId, 'device')
    await assert.rejects(polled('https://other.example/'), { code: 'denied.invalid_target' })
  })

  test(`a person answers on a device of theirs: ${way}`, async () => {
    const us = client('ciba-poll', options)
    const polled = async (verdict) => {
      const { authReqId, expiresAt } = await begun(us)
      const person = await onceToldToWait(us, () => answer(verdict))
      const login = us.pollBackchannelToken({ authReqId, expiresAt, interval: 1, scope })
      const [ended] = await Promise.allSettled([login, person.done])
      await person.done
      return ended.value ?? ended.reason
    }
    assert.equal((await polled('yes')).claims.sub, 'somebody')
    assert.equal((await polled('no')).code, 'denied.access_denied')
    const stranger = await rejection(us.backchannelAuthentication({ loginHint: 'a stranger', scope }))
    assert.deepEqual([stranger.code, stranger.error], ['denied.other', 'unknown_user_id'])
  })

  test(`a client is notified once its person has answered: ${way}`, async () => {
    const us = client('ciba-ping', options)
    const before = await refusals(us)
    const first = await begunWithPing(us)
    // The server waits for the client, and tells the person's device if it did not take the notification.
    await answer('yes')
    assert.deepEqual(awaited.verdicts, ['POST /notified ours'])
    const { claims } = await us.pollBackchannelToken({ authReqId: first.authReqId, scope })
    assert.equal(claims.sub, 'somebody')
    assert.equal(await refusals(us), before, 'it has asked once')

    const { authReqId } = await begunWithPing(us)
    assert.deepEqual(awaited.verdicts, [], 'nobody has answered')
    await answer('no')
    assert.deepEqual(awaited.verdicts, ['POST /notified ours'])
    await assert.rejects(us.pollBackchannelToken({ authReqId, scope }), { code: 'denied.access_denied' })
  })

  test(`what somebody else posts is refused: ${way}`, async () => {
    const { authReqId, clientNotificationToken } = await begunWithPing(client('ciba-ping', options))
    const posted = async (token, id) => {
      const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
      const reply = await fetch(notificationUri, { method: 'POST', headers, body: JSON.stringify({ auth_req_id: id }) })
      return [reply.status, reply.headers.get('www-authenticate')]
    }
    assert.deepEqual(await posted('another', authReqId), [401, 'Bearer'])
    assert.deepEqual(await posted(clientNotificationToken, 'another'), [400, null])
    await answer('yes')
    const verdicts = ['ciba.client_notification_token', 'ciba.unknown_request', 'ours']
    assert.deepEqual(awaited.verdicts, verdicts.map((verdict) => `POST /notified ${verdict}`))
  })

  test(`a client that is notified sends a token: ${way}`, async () => {
    await assert.rejects(begun(client('ciba-ping', options)), { code: 'denied.invalid_request' })
  })

  for (const method of ['client_secret_basic', 'client_secret_post', 'none']) {
    test(`a registered client signs people in: ${method}, ${way}`, async () => {
      const metadata = { ...asked, token_endpoint_auth_method: method }
      const told = await new Client(server, options).register({ metadata })
      assert.equal(told.tokenEndpointAuthMethod, method)
      assert.equal(told.clientSecret === undefined, method === 'none')
      const us = new Client(server, { registered: told.stored, ...options })
      const { url, flow } = us.authorize({ redirectUri, scope })
      const tokens = await us.redeem(flow, await callbackOf(url, redirectUri))
      assert.equal(tokens.claims.sub, 'somebody')
      assert.notEqual((await us.refresh({ tokens })).accessToken, tokens.accessToken)
    })
  }

  test(`a client registers its public key, and signs with the private one: ${way}`, async () => {
    const clientAuth = privateKeyJwt(clients['key-ES256'].private_key, { alg: 'ES256' })
    const metadata = { ...bySecret, token_endpoint_auth_method: 'private_key_jwt', jwks: clientAuth.publicJwks() }
    const { clientSecret, stored } = await new Client(server, options).register({ metadata })
    assert.equal(clientSecret, undefined)
    const us = new Client(server, { registered: stored, clientAuth, ...options })
    assert.deepEqual((await us.clientCredentials({ scope: 'read' }).token()).scope, ['read'])
    assert.throws(() => new Client(server, { registered: stored, ...options }), { code: 'client_auth.no_usable_method' })
  })

  test(`a registration is read, updated and deleted: ${way}`, async () => {
    const nobody = new Client(server, options)
    const token = (stored) => new Client(server, { registered: stored, ...options }).clientCredentials({ scope: 'read' }).token()
    const first = await nobody.register({ metadata: bySecret })
    const read = await nobody.readRegistration({ registered: first.stored })
    assert.deepEqual([read.clientId, read.metadata.client_name], [first.clientId, 'App'])

    const metadata = { ...bySecret, client_name: 'New' }
    const updated = await nobody.updateRegistration({ registered: read.stored, metadata })
    assert.deepEqual([updated.clientId, updated.metadata.client_name], [first.clientId, 'New'])
    // The server has replaced the token, and the new one is good.
    assert.notEqual(updated.registrationAccessToken, read.registrationAccessToken)
    await assert.rejects(nobody.readRegistration({ registered: read.stored }), { code: 'denied.invalid_token' })
    const { metadata: kept, stored: registered } = await nobody.readRegistration({ registered: updated.stored })
    assert.equal(kept.client_name, 'New')
    assert.ok((await token(registered)).accessToken)

    await nobody.deleteRegistration({ registered })
    await assert.rejects(nobody.readRegistration({ registered }), { code: 'denied.invalid_token' })
    await assert.rejects(token(registered), { code: 'denied.invalid_client' })
  })
}

test('what the server does not take is refused by its name', async () => {
  const nobody = new Client(server, {})
  const register = (more) => nobody.register({ metadata: { ...asked, token_endpoint_auth_method: 'none', ...more } })
  // A native application cannot claim the https of a name that leads to every machine.
  const claimed = { redirect_uris: [redirectUri, 'https://localhost/callback'], application_type: 'native' }
  await assert.rejects(register(claimed), { code: 'denied.invalid_redirect_uri' })
  await assert.rejects(register({ grant_types: ['authorization_code', 'odd'] }), { code: 'denied.invalid_client_metadata' })
})

test('an initial access token entitles to register', async () => {
  const own = await oidcProvider({ INITIAL_ACCESS_TOKEN: 'S3CR3T-init' })
  const nobody = new Client(await discover(own.issuer, { transport: 'loopback_http' }), {})
  const metadata = { ...asked, token_endpoint_auth_method: 'none' }
  await assert.rejects(nobody.register({ metadata }), { kind: 'denied' })
  const refused = await rejection(nobody.register({ metadata, initialAccessToken: 'S3CR3T-other' }))
  assert.equal(refused.code, 'denied.invalid_token')
  assert.ok(!String(refused).includes('S3CR3T'))
  assert.ok((await nobody.register({ metadata, initialAccessToken: 'S3CR3T-init' })).clientId)
})
