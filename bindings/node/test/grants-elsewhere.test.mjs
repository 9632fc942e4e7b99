// Grants without a browser at the client: approval on another device, token exchange and assertions.
import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { inspect } from 'node:util'
import { followToCallback, core, rejection, twins } from './helper.mjs'

const { Client, discover } = core
const scope = 'openid read'
const person = 'user-248289761001'
/** As an identity provider writes one. */
const samlAssertion = (base) => `<saml:Assertion xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" ID="_${Math.random()}">
<saml:Subject><saml:NameID>brian@example.com</saml:NameID><saml:SubjectConfirmation>
<saml:SubjectConfirmationData NotOnOrAfter="2100-01-01T00:00:00Z" Recipient="${base}/token"/></saml:SubjectConfirmation></saml:Subject>
<saml:Conditions><saml:AudienceRestriction><saml:Audience>${base}/token</saml:Audience></saml:AudienceRestriction></saml:Conditions>
</saml:Assertion>`

const accessTokenType = 'urn:ietf:params:oauth:token-type:access_token'
const redirectUri = 'https://app.example/callback'

/** A client, over the native transport and over `fetch`. */
const ways = { native: {}, fetch: { fetch: globalThis.fetch } }
const { generic: twin, 'identity-provider': idp } = await twins()
await twin.pollingInterval(1)

async function createClient(twin, options) {
  const { clientId, clientSecret, issuer } = await twin.client()
  const server = await discover(issuer, { transport: 'loopback_http' })
  return new Client(server, { clientId, clientSecret, ...options })
}

async function openPage(url) {
  const page = await fetch(url)
  assert.equal(page.status, 200)
}

/** Waits until the token endpoint has received this many requests since `since`. */
async function waitForRequests(since, count) {
  const end = Date.now() + 30_000
  while ((await twin.counters()).token_requests < since + count) {
    assert.ok(Date.now() < end, 'nobody asks')
    await pause(20)
  }
}

const tokenRequests = async () => (await twin.counters()).token_requests
const waiting = ({ deviceCode, expiresAt, interval }) => ({ deviceCode, expiresAt, interval, scope })

/** The tokens of a user who signs in to this client. */
async function signedIn(client) {
  const { url, flow } = client.authorize({ redirectUri, scope })
  return client.redeem(flow, await followToCallback(url, redirectUri))
}

for (const [way, options] of Object.entries(ways)) {
  test(`a device gets tokens once the user approves: ${way}`, async () => {
    const client = await createClient(twin, options)
    const code = await client.deviceAuthorization({ scope, purpose: 'sign in on a shelf' })
    assert.deepEqual([code.interval, code.expiresIn], [1, 600])
    assert.ok(code.prompt.includes(code.userCode) && code.prompt.includes('shelf'))
    assert.ok(!inspect(code).includes(code.deviceCode))
    const since = await tokenRequests()
    const login = client.pollDeviceToken(waiting(code))
    await waitForRequests(since, 1)
    // After a lost response, the client polls again later.
    await twin.fault('lost_reply')
    await waitForRequests(since, 2)
    await openPage(code.verificationUriComplete)
    assert.equal((await login).claims.sub, person)
    const tokenResponses = (await twin.log()).filter(({ path }) => path === '/token').slice(since)
    assert.deepEqual(tokenResponses.map(({ status, fault }) => [status, fault]), [[400, null], [400, 'lost_reply'], [200, null]])
  })

  test(`a device login is denied: ${way}`, async () => {
    const client = await createClient(twin, options)
    const code = await client.deviceAuthorization({ scope })
    const since = await tokenRequests()
    const login = rejection(client.pollDeviceToken(waiting(code)))
    await waitForRequests(since, 1)
    await twin.deny()
    await openPage(code.verificationUriComplete)
    assert.equal((await login).code, 'denied.access_denied')
  })

  test(`an expired device code is reported: ${way}`, async () => {
    const client = await createClient(twin, options)
    const code = await client.deviceAuthorization({ scope })
    await twin.fault('expired_token')
    assert.equal((await rejection(client.pollDeviceToken(waiting(code)))).code, 'denied.expired_token')
    const since = await tokenRequests()
    // Once it has expired, no request is sent.
    const expiringSoon = { ...waiting(code), expiresAt: new Date(Date.now() + 500) }
    assert.equal((await rejection(client.pollDeviceToken(expiringSoon))).code, 'denied.expired_token')
    assert.equal(await tokenRequests(), since)
  })

  test(`an abort stops polling for a device token: ${way}`, async () => {
    const client = await createClient(twin, options)
    const code = await client.deviceAuthorization({ scope })
    const since = await tokenRequests()
    const stop = new AbortController()
    const login = rejection(client.pollDeviceToken(waiting(code), { signal: stop.signal }))
    await pause(300)
    stop.abort(new Error('enough'))
    assert.equal((await login).message, 'enough')
    // Polling does not continue in the background.
    await pause(1500)
    assert.equal(await tokenRequests(), since)
  })

  test(`the user approves on their own device: ${way}`, async () => {
    const client = await createClient(twin, options)
    const request = await client.backchannelAuthentication({ loginHint: 'alice', bindingMessage: 'W4SCT', requestedExpiry: 60, scope })
    assert.deepEqual([request.bindingMessage, request.expiresIn, request.interval], ['W4SCT', 60, 1])
    assert.equal(request.clientNotificationToken, undefined)
    assert.ok(!inspect(request).includes(request.authReqId))
    const { authReqId, expiresAt, interval } = request
    const since = await tokenRequests()
    const login = client.pollBackchannelToken({ authReqId, expiresAt, interval, scope })
    await waitForRequests(since, 1)
    await openPage(`${twin.base}/authentication_device?binding_message=W4SCT`)
    assert.equal((await login).claims.sub, person)

    const again = await client.backchannelAuthentication({ loginHint: 'alice', scope })
    await twin.deny()
    await openPage(`${twin.base}/authentication_device`)
    const refused = client.pollBackchannelToken({ authReqId: again.authReqId, expiresAt, interval, scope })
    assert.equal((await rejection(refused)).code, 'denied.access_denied')
    const unknown = await rejection(client.backchannelAuthentication({ loginHint: 'bob', scope }))
    assert.deepEqual([unknown.code, unknown.error], ['denied.other', 'unknown_user_id'])
  })

  test(`a ping notification is verified and answered with one token request: ${way}`, async () => {
    const client = await createClient(twin, options)
    await twin.backchannelDelivery('ping', 'https://client.example/ping')
    const { authReqId, clientNotificationToken } = await client.backchannelAuthentication({ loginHint: 'alice', tokenDeliveryMode: 'ping', scope })
    await openPage(`${twin.base}/authentication_device`)
    const [{ authorization, body }] = await twin.notifications()
    const judged = { authReqId, clientNotificationToken, authorization, body }
    await client.verifyPing(judged)
    const foreignPing = await rejection(client.verifyPing({ ...judged, authorization: 'Bearer another' }))
    assert.deepEqual([foreignPing.code, foreignPing.responseStatus, foreignPing.challenge], ['ciba.client_notification_token', 401, 'Bearer'])
    const other = await rejection(client.verifyPing({ ...judged, authReqId: 'another' }))
    assert.equal(other.code, 'ciba.unknown_request')
    const since = await tokenRequests()
    assert.equal((await client.pollBackchannelToken({ authReqId, scope })).claims.sub, person)
    assert.equal(await tokenRequests(), since + 1)
    await twin.backchannelDelivery('poll')
  })

  test(`pushed tokens are verified: ${way}`, async () => {
    const client = await createClient(twin, options)
    await twin.backchannelDelivery('push', 'https://client.example/push')
    const begin = (more) => client.backchannelAuthentication({ loginHint: 'alice', tokenDeliveryMode: 'push', scope, ...more })
    const { authReqId, clientNotificationToken } = await begin()
    // A user who is asked often enough may eventually approve (prompt fatigue).
    assert.equal((await rejection(begin())).code, 'ciba.duplicate_request')
    await begin({ repeat: 'allowed' })
    for (let count = 0; count < 2; count += 1) await openPage(`${twin.base}/authentication_device`)
    const [{ authorization, body }, foreign] = await twin.notifications()
    const judged = { authReqId, clientNotificationToken, authorization, scope }
    assert.equal((await client.acceptPush({ ...judged, body })).claims.sub, person)
    const mixed = JSON.stringify({ ...JSON.parse(foreign.body), auth_req_id: authReqId })
    assert.equal((await rejection(client.acceptPush({ ...judged, body: mixed }))).code, 'id_token.auth_req_id')
    await twin.backchannelDelivery('poll')
  })

  test(`a token is exchanged for one with an actor: ${way}`, async () => {
    const client = await createClient(twin, options)
    const { accessToken: subjectToken } = await signedIn(client)
    const { accessToken: actorToken } = await client.clientCredentials().token()
    const withoutActor = { subjectToken, subjectTokenType: 'access_token' }
    const tokens = await client.tokenExchange({
      ...withoutActor, actorToken, actorTokenType: 'access_token', scope: 'read', resource: ['https://api.example/'], audience: ['backend'],
    })
    assert.equal(tokens.extra.issued_token_type, accessTokenType)
    const state = await client.introspect({ token: tokens.accessToken })
    assert.equal(state.subject, person)
    assert.deepEqual(state.audience, ['https://api.example/', 'backend'])
    assert.deepEqual(state.extra.act, { sub: 'twin-client' })
    const untypedActor = { ...withoutActor, actorToken }
    assert.equal((await rejection(client.tokenExchange(untypedActor))).code, 'token_exchange.malformed')
    const unknownToken = { ...withoutActor, subjectToken: 'dead' }
    assert.equal((await rejection(client.tokenExchange(unknownToken))).code, 'denied.invalid_request')
  })

  test(`a client gets a token for a service account with a signed JWT: ${way}`, async () => {
    const client = await createClient(twin, options)
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const key = privateKey.export({ type: 'pkcs8', format: 'pem' })
    const issuer = `robot-${way}`
    const signing = { key, alg: 'ES256', issuer, subject: 'somebody', scope: 'read' }
    assert.equal((await rejection(client.jwtBearerWithKey(signing))).code, 'denied.invalid_grant')
    await twin.registerAssertionKey(issuer, publicKey.export({ format: 'jwk' }))
    const tokens = await client.jwtBearerWithKey(signing)
    assert.equal((await client.introspect({ token: tokens.accessToken })).subject, 'somebody')
    const elsewhere = client.jwtBearerWithKey({ ...signing, audienceClaim: 'https://elsewhere.example' })
    assert.equal((await rejection(elsewhere)).code, 'denied.invalid_grant')
    const withReservedClaim = client.jwtBearerWithKey({ ...signing, claims: { sub: 'me' } })
    assert.equal((await rejection(withReservedClaim)).code, 'assertion.claim')
  })

  test(`an identity provider asserts the user's identity to another server: ${way}`, async () => {
    const [ownClient, resourceClient] = [await createClient(idp, options), await createClient(twin, options)]
    await idp.vouchTo(twin.base, (await twin.client()).clientId)
    await twin.trustIdentityProvider(idp.base)
    const { idToken } = await signedIn(ownClient)
    const args = { subjectToken: idToken, issuer: twin.base, scope: 'read' }
    const identityAssertion = await ownClient.requestIdentityAssertion(args)
    assert.equal(identityAssertion.audience, twin.base)
    assert.ok(identityAssertion.expiresAt > new Date() && !inspect(identityAssertion).includes(identityAssertion.assertion))
    const { assertion } = identityAssertion
    const tokens = await resourceClient.redeemIdentityAssertion({ assertion })
    assert.equal((await resourceClient.introspect({ token: tokens.accessToken })).subject, person)
    // It is also a valid JWT bearer assertion, but can be used only once.
    assert.equal((await rejection(resourceClient.jwtBearer({ assertion }))).code, 'denied.invalid_grant')
    assert.equal((await rejection(ownClient.redeemIdentityAssertion({ assertion }))).code, 'jwt.audience')
    await idp.fault('issued_token_type')
    assert.equal((await rejection(ownClient.requestIdentityAssertion(args))).code, 'token.unexpected_issued_token_type')
  })

  test(`identityAssertionGrant requests and redeems an assertion in one call: ${way}`, async () => {
    const [ownClient, resourceClient] = [await createClient(idp, options), await createClient(twin, options)]
    await idp.vouchTo(twin.base, (await twin.client()).clientId)
    await twin.trustIdentityProvider(idp.base)
    const login = await signedIn(ownClient)
    // Each time with an assertion of its own.
    for (let times = 0; times < 2; times += 1) {
      const { accessToken } = await core.identityAssertionGrant(ownClient, login, resourceClient, { scope: 'read' })
      assert.equal((await resourceClient.introspect({ token: accessToken })).subject, person)
    }
  })

  test(`a SAML assertion is redeemed only once: ${way}`, async () => {
    const client = await createClient(twin, options)
    const assertion = samlAssertion(twin.base)
    // The twin does not trust this assertion yet.
    assert.equal((await rejection(client.samlBearer({ assertion }))).code, 'denied.invalid_grant')
    await twin.announceSamlAssertion(assertion)
    const tokens = await client.samlBearer({ assertion, scope: 'read' })
    assert.deepEqual([...tokens.scope], ['read'])
    assert.equal((await client.introspect({ token: tokens.accessToken })).subject, 'brian@example.com')
    const form = Object.fromEntries((await twin.log()).filter(({ path }) => path === '/token').at(-1).form)
    assert.deepEqual(form, {
      grant_type: 'urn:ietf:params:oauth:grant-type:saml2-bearer',
      assertion: '[redacted]',
      scope: 'read',
    })
    assert.equal((await rejection(client.samlBearer({ assertion }))).code, 'denied.invalid_grant')
    // One that is encoded already is not encoded again.
    const other = assertion.replace('ID="', 'ID="other')
    await twin.announceSamlAssertion(other)
    const encoded = Buffer.from(other).toString('base64url')
    assert.ok((await client.samlBearer({ assertion: encoded, scope: 'read' })).accessToken)
  })

  test(`extension grants without an operation of their own are sent: ${way}`, async () => {
    const client = await createClient(twin, options)
    const sent = async () => (await twin.log()).filter(({ path }) => path === '/token').at(-1).form
    const denied = await rejection(client.extensionGrant({ grantType: 'urn:example:own', parameters: { tag: 'x y' } }))
    assert.equal(denied.code, 'denied.unsupported_grant_type')
    assert.deepEqual(await sent(), [['grant_type', 'urn:example:own'], ['tag', 'x y']])
    const none = await rejection(client.extensionGrant({ grantType: 'password' }))
    assert.equal(none.code, 'grant.not_an_extension')
    // By its long name, one that the server knows.
    const tokens = await client.extensionGrant({
      grantType: 'urn:ietf:params:oauth:grant-type:token-exchange',
      parameters: { subject_token: (await client.clientCredentials().token()).accessToken, subject_token_type: accessTokenType },
    })
    assert.equal(tokens.extra.issued_token_type, accessTokenType)
  })
}

test('a device login polls at the interval that the server sets', async () => {
  await twin.pollingInterval(5)
  const client = await createClient(twin)
  const code = await client.deviceAuthorization({ scope })
  await twin.pollingInterval(1)
  const exchange = client.exchange.pollDeviceToken(waiting(code))
  const pauses = []
  let step = exchange.begin()
  while (step.kind !== 'done') {
    if (step.kind === 'sleep') {
      pauses.push(step.ms)
      await twin.advance(step.ms / 1000)
      if (pauses.length === 1) await twin.fault('slow_down')
      if (pauses.length === 3) await openPage(code.verificationUriComplete)
      step = exchange.elapsed()
    } else {
      const { method, url, headers, body } = step
      const reply = await fetch(url, { method, headers, body: body.length ? body : undefined })
      step = exchange.reply({ status: reply.status, headers: reply.headers, body: await reply.bytes?.() ?? new Uint8Array(await reply.arrayBuffer()) })
    }
  }
  assert.equal(step.value.claims.sub, person)
  assert.deepEqual(pauses, [5000, 10_000, 10_000])
})

const ownGrant = `
name = "acme"
title = "Acme"
issuer = "https://login.acme.example"
client_auth = "basic"
grants = ["client_credentials"]

[endpoints]
token_endpoint = "{issuer}/token"

[extension_grants.for_another]
grant_type = "urn:ietf:params:oauth:grant-type:token-exchange"
client_auth = "required"
fixed = { subject_token_type = "urn:ietf:params:oauth:token-type:access_token" }

[extension_grants.for_another.parameters]
subject_token = { description = "the token of the caller", secret = true }
tag = { required = false, repeated = true }
`

test('an extension grant of a preset is requested by name', async () => {
  const { clientId, clientSecret } = await twin.client()
  const client = new Client(core.providerFile(ownGrant, { loopback: twin.base }), { clientId, clientSecret })
  const token = (await (await createClient(twin)).clientCredentials().token()).accessToken
  const requestGrant = (parameters, grantType = 'for_another') => client.extensionGrant({ grantType, parameters })
  const tokens = await requestGrant({ subject_token: token, tag: 'a' })
  assert.equal(tokens.extra.issued_token_type, accessTokenType)
  const { form } = (await twin.log()).filter(({ path }) => path === '/token').at(-1)
  assert.deepEqual(form.filter(([name]) => name !== 'subject_token'), [
    ['grant_type', 'urn:ietf:params:oauth:grant-type:token-exchange'],
    ['subject_token_type', accessTokenType], ['tag', 'a'],
  ])
  const before = await tokenRequests()
  for (const [parameters, code] of [
    [{}, 'form.malformed_parameter'],
    [{ subject_token: token, other: 'x' }, 'form.unlisted_parameter'],
    [{ subject_token: [token, token] }, 'form.duplicate_parameter'],
    [{ subject_token: token, subject_token_type: 'x' }, 'form.unlisted_parameter'],
  ]) assert.equal((await rejection(requestGrant(parameters))).code, code)
  assert.equal((await rejection(requestGrant({}, 'another'))).code, 'grant.not_an_extension')
  assert.equal(await tokenRequests(), before)
})
