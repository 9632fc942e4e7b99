// Permissions in detail (RFC 9396) and the resources that tokens are for (RFC 8707), against npm's oidc-provider.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Browser, core, fapiProvider } from './helper.mjs'

const { Client, DpopKey, Grants, MemoryStore, Server, Tokens, discover, privateKeyJwt } = core
const redirectUri = 'http://127.0.0.1/callback'
const isCallback = ({ href }) => href.startsWith(redirectUri)
const { issuer, clients } = await fapiProvider()
const server = await discover(issuer, { transport: 'loopback_http' })
const openToCallback = async (url) => (await new Browser(isCallback).open(url)).url

const [one, other] = ['https://one.example/', 'https://other.example/']
const payment = { type: 'payment', actions: ['initiate'], amount: '12.50' }

async function client() {
  const clientAuth = privateKeyJwt(clients.security.private_key, { alg: 'ES256' })
  return new Client(server, { clientId: 'security', clientAuth, dpopKey: await DpopKey.generate() })
}

/** A client without a network. */
function offline(options) {
  const metadata = { issuer: 'https://as.example', authorization_endpoint: 'https://as.example/a', token_endpoint: 'https://as.example/t' }
  return new Client(Server.fromMetadata('https://as.example', metadata), { clientId: 'id', ...options })
}

test('authorization details are requested and the granted ones returned', async () => {
  const ownClient = await client()
  const authorizeOptions = { redirectUri, scope: 'openid', resource: [one], authorizationDetails: [payment], push: 'always' }
  const { url, flow } = await ownClient.beginAuthorization(authorizeOptions)
  const tokens = await ownClient.redeem(flow, await openToCallback(url))
  // The server adds a member to the requested details.
  assert.deepEqual(tokens.authorizationDetails, [{ ...payment, id: 'p-4711' }])
  assert.deepEqual(tokens.warnings, [])
  assert.deepEqual(tokens.missingAuthorizationDetails([payment]), [])
  const more = { type: 'payment', actions: ['initiate', 'cancel'] }
  assert.deepEqual(tokens.missingAuthorizationDetails([payment, more]), [more])
  assert.deepEqual(Tokens.deserialize(tokens.serialize()).authorizationDetails, tokens.authorizationDetails)
  const malformed = { code: 'authorization_details.malformed' }
  for (const wrong of [[{ actions: ['read'] }], payment, [{ type: 'payment', actions: 'read' }], undefined]) {
    assert.throws(() => tokens.missingAuthorizationDetails(wrong), malformed)
  }
  assert.throws(() => offline().authorize({ redirectUri, authorizationDetails: [{ actions: ['read'] }] }), malformed)
})

/** Tokens of a login that asked for a payment, from a server that says this was granted. */
function redeemed(granted) {
  const client = offline()
  const { flow } = client.authorize({ redirectUri, authorizationDetails: [payment] })
  const exchange = client.exchange.redeem(flow, `${redirectUri}?code=c&state=${flow.state}`)
  exchange.begin()
  const body = JSON.stringify({ access_token: 'a', token_type: 'Bearer', expires_in: 600, authorization_details: granted })
  return exchange.reply({ status: 200, headers: [['content-type', 'application/json']], body }).value
}

test('authorization details that were not granted are reported', () => {
  for (const [granted, isMissing] of [
    [undefined, true],
    [[], true],
    [[{ type: 'account', actions: ['initiate'] }], true],
    [[{ type: 'payment', actions: ['read'] }], true],
    [[{ type: 'payment', actions: ['read', 'initiate'], amount: '1.00' }], false],
  ]) {
    const tokens = redeemed(granted)
    assert.deepEqual(tokens.authorizationDetails, granted)
    assert.deepEqual(tokens.warnings, isMissing ? ['authorization_details_missing'] : [])
    assert.deepEqual(tokens.missingAuthorizationDetails([payment]), isMissing ? [payment] : [])
  }
  assert.throws(() => redeemed([{ actions: ['initiate'] }]), { code: 'token_response.malformed' })
  assert.equal(Tokens.bearer('a').authorizationDetails, undefined)
})

/** Whom a token is for, as the server says. */
async function audience(client, { accessToken }) {
  const { active, audience } = await client.introspect({ token: accessToken })
  assert.equal(active, true)
  return audience
}

test('a refresh may narrow the resources but not exceed them', async () => {
  const ownClient = await client()
  const { url, flow } = await ownClient.beginAuthorization({ redirectUri, scope: 'openid read', resource: [one, other], push: 'always' })
  const tokens = await ownClient.redeem(flow, await openToCallback(url), { resource: [one] })
  assert.deepEqual(await audience(ownClient, tokens), [one])
  const renewed = await ownClient.refresh({ tokens, resource: [other] })
  assert.deepEqual(await audience(ownClient, renewed), [other])
  const resource = ['https://third.example/']
  await assert.rejects(ownClient.refresh({ tokens: renewed, resource }), { code: 'resource.exceeds_grant' })
  // A record of an earlier version lacks the granted details, so the server is asked.
  const { resources, ...record } = JSON.parse(renewed.serialize())
  assert.deepEqual(resources, [one, other])
  const refused = ownClient.refresh({ tokens: Tokens.deserialize(JSON.stringify(record)), resource })
  await assert.rejects(refused, { code: 'denied.invalid_target' })
})

test("client credentials tokens are issued for the requested resource", async () => {
  const ownClient = await client()
  for (const resource of [one, other]) {
    assert.deepEqual(await audience(ownClient, await ownClient.clientCredentials({ scope: 'read', resource: [resource] }).token()), [resource])
  }
})

/** Tokens that a login asked a payment for, with a refresh token. */
function refreshable() {
  const record = { ...JSON.parse(redeemed().serialize()), refresh_token: 'rt-1', refresh_scope: '' }
  return Tokens.deserialize(JSON.stringify(record))
}

const more = { type: 'payment', actions: ['initiate', 'cancel'] }

test('authorization details are sent in every token request', () => {
  const client = offline({ clientSecret: 's' })
  const authorizationDetails = [payment]
  for (const exchange of [
    client.exchange.clientCredentials({ authorizationDetails }),
    client.exchange.refresh({ tokens: refreshable(), authorizationDetails }),
    client.exchange.tokenExchange({ subjectToken: 'a', subjectTokenType: 'access_token', authorizationDetails }),
    client.exchange.jwtBearer({ assertion: 'a.b.c', authorizationDetails }),
    client.exchange.samlBearer({ assertion: '<a/>', authorizationDetails }),
    client.exchange.extensionGrant({ grantType: 'urn:example:g', parameters: {}, authorizationDetails }),
    client.exchange.password({ username: 'ann', password: 'p', authorizationDetails }),
  ]) {
    const sent = new URLSearchParams(Buffer.from(exchange.begin().body).toString())
    assert.deepEqual(sent.getAll('authorization_details').map((text) => JSON.parse(text)), [[payment]])
  }
  for (const authorizationDetails of [[{ actions: ['read'] }], payment, 'payment']) {
    const requestMalformed = () => client.exchange.clientCredentials({ authorizationDetails })
    assert.throws(requestMalformed, { code: 'authorization_details.malformed' })
  }
  // The library cannot know which of the two the caller wants to send.
  const extra = { authorization_details: JSON.stringify([more]) }
  assert.throws(() => client.exchange.clientCredentials({ authorizationDetails, extra }), { code: 'form.reserved_parameter' })
})

test('authorization details are part of the key of a grant', async () => {
  const client = offline({ clientSecret: 's' })
  const grantKey = (authorizationDetails, subject) =>
    client.keeper(undefined, { grantType: subject ? 'refresh_token' : 'client_credentials', subject, authorizationDetails }).key
  // A grant is found again however its permissions were written, and other permissions are another grant.
  const keys = [[payment], [{ ...payment }], [more], undefined].map((details) => grantKey(details))
  assert.equal(keys[0], keys[1])
  assert.equal(new Set(keys).size, 3)
  const store = new MemoryStore()
  assert.equal(client.clientCredentials({ store, authorizationDetails: [payment] }).key, keys[0])
  const grants = new Grants(client, store)
  await grants.logIn('ann', refreshable(), { authorizationDetails: [payment] })
  assert.ok(await store.load(grantKey([payment], 'ann')))
  const source = grants.get('ann', { authorizationDetails: [payment] })
  assert.equal(source, grants.get('ann', { authorizationDetails: [{ ...payment }] }))
  assert.equal(source, grants.get('ann', { extra: { authorization_details: JSON.stringify([payment], null, 2) } }))
  assert.equal((await source.token()).accessToken, 'a')
  await assert.rejects(grants.get('ann', { authorizationDetails: [more] }).token(), { code: 'grant.no_refresh_token' })
})
