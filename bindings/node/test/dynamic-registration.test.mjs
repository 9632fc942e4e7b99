// Clients that register themselves (RFC 7591), and what they do with that afterwards (RFC 7592).
import assert from 'node:assert/strict'
import { generateKeyPairSync, sign } from 'node:crypto'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { followToCallback, core, listen, rejection, twins } from './helper.mjs'

const { Client, Server, discover } = core
const { generic } = await twins()
const callback = 'https://app.example/callback'
const requestedMetadata = {
  redirect_uris: [callback],
  token_endpoint_auth_method: 'client_secret_basic',
  grant_types: ['authorization_code', 'client_credentials'],
  client_name: 'App',
}
const discoverServer = () => discover(generic.base, { transport: 'loopback_http' })

for (const method of ['client_secret_basic', 'client_secret_post', 'none']) {
  test(`a registered client logs users in: ${method}`, async () => {
    const server = await discoverServer()
    const registration = await new Client(server, {}).register({ metadata: { ...requestedMetadata, token_endpoint_auth_method: method } })
    assert.equal(registration.tokenEndpointAuthMethod, method)
    assert.deepEqual(registration.redirectUris, [callback])
    assert.equal(registration.clientSecret === undefined, method === 'none')
    assert.equal(registration.clientSecretExpiresAt, undefined)
    assert.ok(registration.clientIdIssuedAt instanceof Date)
    assert.equal(registration.metadata.client_name, 'App')

    const client = new Client(server, { registered: registration.stored })
    assert.equal(client.clientId, registration.clientId)
    const { url, flow } = client.authorize({ redirectUri: callback, scope: 'read' })
    const tokens = await client.redeem(flow, await followToCallback(url, callback))
    assert.equal(tokens.clientId, registration.clientId)
    const unregisteredUri = { redirectUri: 'https://app.example/other' }
    assert.throws(() => client.authorize(unregisteredUri), { code: 'redirect_uri.not_registered' })
  })
}

test('a registration is read, updated and deleted', async () => {
  const server = await discoverServer()
  const unregisteredClient = new Client(server, {})
  const first = await unregisteredClient.register({ metadata: requestedMetadata })
  const read = await unregisteredClient.readRegistration({ registered: first.stored })
  assert.equal(read.clientSecret, first.clientSecret)
  assert.notEqual(read.registrationAccessToken, first.registrationAccessToken)
  await assert.rejects(unregisteredClient.readRegistration({ registered: first.stored }), { code: 'denied.invalid_token' })

  const metadata = { ...requestedMetadata, token_endpoint_auth_method: 'client_secret_post', client_name: 'New' }
  const updated = await unregisteredClient.updateRegistration({ registered: read.stored, metadata })
  assert.equal(updated.metadata.client_name, 'New')
  const client = new Client(server, { registered: updated.stored })
  assert.ok((await client.clientCredentials({ scope: 'read' }).token()).accessToken)

  assert.equal(await unregisteredClient.deleteRegistration({ registered: updated.stored }), undefined)
  await assert.rejects(unregisteredClient.readRegistration({ registered: updated.stored }), { code: 'denied.invalid_token' })
  const again = new Client(server, { registered: updated.stored }).clientCredentials({ scope: 'read' })
  await assert.rejects(again.token(), { code: 'denied.invalid_client' })
})

test('contradictory metadata is not sent', async () => {
  const unregisteredClient = new Client(await discoverServer(), {})
  for (const [metadata, code] of [
    [{}, 'client_metadata.inconsistent'],
    [{ ...requestedMetadata, client_secret: 'mine' }, 'client_metadata.malformed'],
    [{ ...requestedMetadata, jwks: { keys: [{ kty: 'oct', k: 'AA' }] } }, 'client_metadata.private_key'],
    [{ ...requestedMetadata, token_endpoint_auth_method: 'private_key_jwt' }, 'client_metadata.keys_missing'],
    [{ ...requestedMetadata, redirect_uris: [callback, 'http://127.0.0.1/cb'] }, 'denied.invalid_redirect_uri'],
  ]) await assert.rejects(unregisteredClient.register({ metadata }), { code })
})

test('a client without an ID can only register', async () => {
  const unregisteredClient = new Client(await discoverServer(), {})
  assert.equal(unregisteredClient.clientId, '')
  await assert.rejects(unregisteredClient.revoke({ token: 't0ken' }), { code: 'client_auth.client_id' })
  await assert.rejects(unregisteredClient.clientCredentials().token(), { code: 'client_auth.client_id' })
  assert.throws(() => unregisteredClient.authorize({ redirectUri: callback }), { code: 'client_auth.client_id' })
})

test('the stored registration is secret, and belongs to its server', async () => {
  const server = await discoverServer()
  const registration = await new Client(server, {}).register({ metadata: requestedMetadata })
  for (const secret of [registration.clientSecret, registration.registrationAccessToken]) {
    assert.ok(registration.stored.includes(secret))
    for (const shown of [inspect(registration, { showHidden: true }), JSON.stringify(registration)]) assert.ok(!shown.includes(secret))
  }
  const issuer = 'https://as.example'
  const other = Server.fromMetadata(issuer, { issuer })
  assert.throws(() => new Client(other, { registered: registration.stored }), { code: 'stored.issuer' })
  assert.throws(() => new Client(server, { registered: '{}' }), { code: 'stored.malformed' })
  for (const more of [{ clientId: 'id' }, { clientSecret: 's' }]) {
    assert.throws(() => new Client(server, { registered: registration.stored, ...more }), TypeError)
  }
})

test('a client ID metadata document is created, validated and accepted', async () => {
  await generic.acceptClientIdMetadata()
  let published
  const base = await listen((request, response) => {
    response.setHeader('content-type', 'application/json')
    response.end(published)
  })
  const clientId = `${base}/client.json`
  const client = new Client(await discoverServer(), { clientId })
  const metadata = { client_name: 'App', redirect_uris: [callback] }
  const clientMetadata = await client.clientIdMetadata({ metadata, mcp: true })
  assert.equal(clientMetadata.clientId, clientId)
  assert.deepEqual(clientMetadata.warnings, [])
  const document = JSON.parse(clientMetadata.document)
  assert.deepEqual(document, { client_id: clientId, ...metadata, token_endpoint_auth_method: 'none', application_type: 'web' })
  // A created document is used unchanged.
  assert.equal((await client.clientIdMetadata({ metadata: document })).document, clientMetadata.document)

  published = clientMetadata.document
  const { url, flow } = client.authorize({ redirectUri: callback, scope: 'read' })
  const tokens = await client.redeem(flow, await followToCallback(url, callback))
  assert.equal(tokens.clientId, clientId)

  const code = async (documentOptions) => (await rejection(client.clientIdMetadata(documentOptions))).code
  const withChangedMetadata = (more) => ({ metadata: { ...document, ...more } })
  assert.equal(await code(withChangedMetadata({ client_id: `${base}/other.json` })), 'client_id_metadata.client_id')
  assert.equal(await code(withChangedMetadata({ client_secret: 's' })), 'client_id_metadata.client_secret')
  assert.equal(await code(withChangedMetadata({ token_endpoint_auth_method: 'client_secret_post' })), 'client_id_metadata.shared_secret')
  assert.equal(await code({ metadata: { redirect_uris: [callback] }, mcp: true }), 'client_metadata.name_missing')
  const other = new Client(await discoverServer(), { clientId: 'app' })
  assert.equal((await rejection(other.clientIdMetadata({ metadata }))).code, 'client_id_metadata.url')
  const large = await client.clientIdMetadata({ metadata: { ...metadata, x: 'x'.repeat(6 << 10) } })
  assert.deepEqual(large.warnings, ['large'])
})

test('a registration with an unapproved software statement is refused', async () => {
  const refused = await rejection(new Client(await discoverServer(), {}).register({ metadata: { ...requestedMetadata, software_statement: 'e30.e30.e30' } }))
  assert.equal(refused.code, 'denied.unapproved_software_statement')
})

/** RFC 7591 section 3. */
test('registration requires a valid initial access token', async () => {
  const separateTwin = (await twins()).generic
  await separateTwin.initialAccessToken('S3CR3T-init')
  const unregisteredClient = new Client(await discover(separateTwin.base, { transport: 'loopback_http' }), {})
  const refused = await rejection(unregisteredClient.register({ metadata: requestedMetadata, initialAccessToken: 'S3CR3T-other' }))
  assert.equal(refused.code, 'denied.invalid_token')
  assert.ok(!inspect(refused).includes('S3CR3T'))
  assert.ok((await unregisteredClient.register({ metadata: requestedMetadata, initialAccessToken: 'S3CR3T-init' })).clientId)
})

/** RFC 7591 section 2.3. */
test('a software statement takes precedence over the metadata of the client', async () => {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const publisher = 'https://publisher.example'
  const encodeJson = (value) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const claims = { iss: publisher, software_id: '4NRB1', client_name: 'The stated', redirect_uris: [callback] }
  const input = `${encodeJson({ alg: 'ES256' })}.${encodeJson(claims)}`
  const signature = sign('sha256', input, { key: privateKey, dsaEncoding: 'ieee-p1363' }).toString('base64url')
  const metadata = { ...requestedMetadata, client_name: 'Another', software_statement: `${input}.${signature}` }
  const unregisteredClient = new Client(await discoverServer(), {})
  await assert.rejects(unregisteredClient.register({ metadata }), { code: 'denied.unapproved_software_statement' })
  await generic.trustPublisher(publisher, { keys: [publicKey.export({ format: 'jwk' })] })
  const registration = await unregisteredClient.register({ metadata })
  assert.equal(registration.metadata.client_name, 'The stated')
  // The statement was for this request, and is not sent again.
  assert.equal(registration.metadata.software_statement, undefined)
})
