// Clients that register themselves (RFC 7591), and what they do with that afterwards (RFC 7592).
import assert from 'node:assert/strict'
import { generateKeyPairSync, sign } from 'node:crypto'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { callbackOf, core, listen, rejection, twins } from './helper.mjs'

const { Client, Server, discover } = core
const { generic } = await twins()
const callback = 'https://app.example/callback'
const asked = {
  redirect_uris: [callback],
  token_endpoint_auth_method: 'client_secret_basic',
  grant_types: ['authorization_code', 'client_credentials'],
  client_name: 'App',
}
const known = () => discover(generic.base, { transport: 'loopback_http' })

for (const method of ['client_secret_basic', 'client_secret_post', 'none']) {
  test(`a registered client signs people in: ${method}`, async () => {
    const server = await known()
    const told = await new Client(server, {}).register({ metadata: { ...asked, token_endpoint_auth_method: method } })
    assert.equal(told.tokenEndpointAuthMethod, method)
    assert.deepEqual(told.redirectUris, [callback])
    assert.equal(told.clientSecret === undefined, method === 'none')
    assert.equal(told.clientSecretExpiresAt, undefined)
    assert.ok(told.clientIdIssuedAt instanceof Date)
    assert.equal(told.metadata.client_name, 'App')

    const client = new Client(server, { registered: told.stored })
    assert.equal(client.clientId, told.clientId)
    const { url, flow } = client.authorize({ redirectUri: callback, scope: 'read' })
    const tokens = await client.redeem(flow, await callbackOf(url, callback))
    assert.equal(tokens.clientId, told.clientId)
    const elsewhere = { redirectUri: 'https://app.example/other' }
    assert.throws(() => client.authorize(elsewhere), { code: 'redirect_uri.not_registered' })
  })
}

test('a registration is read, updated and deleted', async () => {
  const server = await known()
  const nobody = new Client(server, {})
  const first = await nobody.register({ metadata: asked })
  const read = await nobody.readRegistration({ registered: first.stored })
  assert.equal(read.clientSecret, first.clientSecret)
  assert.notEqual(read.registrationAccessToken, first.registrationAccessToken)
  await assert.rejects(nobody.readRegistration({ registered: first.stored }), { code: 'denied.invalid_token' })

  const metadata = { ...asked, token_endpoint_auth_method: 'client_secret_post', client_name: 'New' }
  const updated = await nobody.updateRegistration({ registered: read.stored, metadata })
  assert.equal(updated.metadata.client_name, 'New')
  const client = new Client(server, { registered: updated.stored })
  assert.ok((await client.clientCredentials({ scope: 'read' }).token()).accessToken)

  assert.equal(await nobody.deleteRegistration({ registered: updated.stored }), undefined)
  await assert.rejects(nobody.readRegistration({ registered: updated.stored }), { code: 'denied.invalid_token' })
  const again = new Client(server, { registered: updated.stored }).clientCredentials({ scope: 'read' })
  await assert.rejects(again.token(), { code: 'denied.invalid_client' })
})

test('what contradicts itself is not sent', async () => {
  const nobody = new Client(await known(), {})
  for (const [metadata, code] of [
    [{}, 'client_metadata.inconsistent'],
    [{ ...asked, client_secret: 'mine' }, 'client_metadata.malformed'],
    [{ ...asked, jwks: { keys: [{ kty: 'oct', k: 'AA' }] } }, 'client_metadata.private_key'],
    [{ ...asked, token_endpoint_auth_method: 'private_key_jwt' }, 'client_metadata.keys_missing'],
    [{ ...asked, redirect_uris: [callback, 'http://127.0.0.1/cb'] }, 'denied.invalid_redirect_uri'],
  ]) await assert.rejects(nobody.register({ metadata }), { code })
})

test('a client without an id registers and does nothing else', async () => {
  const nobody = new Client(await known(), {})
  assert.equal(nobody.clientId, '')
  await assert.rejects(nobody.revoke({ token: 't0ken' }), { code: 'client_auth.client_id' })
  await assert.rejects(nobody.clientCredentials().token(), { code: 'client_auth.client_id' })
  assert.throws(() => nobody.authorize({ redirectUri: callback }), { code: 'client_auth.client_id' })
})

test('what is stored is a secret, and its server\'s', async () => {
  const server = await known()
  const told = await new Client(server, {}).register({ metadata: asked })
  for (const secret of [told.clientSecret, told.registrationAccessToken]) {
    assert.ok(told.stored.includes(secret))
    for (const shown of [inspect(told, { showHidden: true }), JSON.stringify(told)]) assert.ok(!shown.includes(secret))
  }
  const issuer = 'https://as.example'
  const other = Server.fromMetadata(issuer, { issuer })
  assert.throws(() => new Client(other, { registered: told.stored }), { code: 'stored.issuer' })
  assert.throws(() => new Client(server, { registered: '{}' }), { code: 'stored.malformed' })
  for (const more of [{ clientId: 'id' }, { clientSecret: 's' }]) {
    assert.throws(() => new Client(server, { registered: told.stored, ...more }), TypeError)
  }
})

test('a document at the client’s id is made, checked and taken', async () => {
  await generic.acceptClientIdMetadata()
  let published
  const base = await listen((request, response) => {
    response.setHeader('content-type', 'application/json')
    response.end(published)
  })
  const clientId = `${base}/client.json`
  const client = new Client(await known(), { clientId })
  const metadata = { client_name: 'App', redirect_uris: [callback] }
  const told = await client.clientIdMetadata({ metadata, mcp: true })
  assert.equal(told.clientId, clientId)
  assert.deepEqual(told.warnings, [])
  const document = JSON.parse(told.document)
  assert.deepEqual(document, { client_id: clientId, ...metadata, token_endpoint_auth_method: 'none', application_type: 'web' })
  // What was made is taken as it is.
  assert.equal((await client.clientIdMetadata({ metadata: document })).document, told.document)

  published = told.document
  const { url, flow } = client.authorize({ redirectUri: callback, scope: 'read' })
  const tokens = await client.redeem(flow, await callbackOf(url, callback))
  assert.equal(tokens.clientId, clientId)

  const code = async (given) => (await rejection(client.clientIdMetadata(given))).code
  const spoiled = (more) => ({ metadata: { ...document, ...more } })
  assert.equal(await code(spoiled({ client_id: `${base}/other.json` })), 'client_id_metadata.client_id')
  assert.equal(await code(spoiled({ client_secret: 's' })), 'client_id_metadata.client_secret')
  assert.equal(await code(spoiled({ token_endpoint_auth_method: 'client_secret_post' })), 'client_id_metadata.shared_secret')
  assert.equal(await code({ metadata: { redirect_uris: [callback] }, mcp: true }), 'client_metadata.name_missing')
  const other = new Client(await known(), { clientId: 'app' })
  assert.equal((await rejection(other.clientIdMetadata({ metadata }))).code, 'client_id_metadata.url')
  const large = await client.clientIdMetadata({ metadata: { ...metadata, x: 'x'.repeat(6 << 10) } })
  assert.deepEqual(large.warnings, ['large'])
})

test('software that a publisher vouches for is registered as it states', async () => {
  const refused = await rejection(new Client(await known(), {}).register({ metadata: { ...asked, software_statement: 'e30.e30.e30' } }))
  assert.equal(refused.code, 'denied.unapproved_software_statement')
})

/** RFC 7591 section 3. */
test('a token may entitle to register', async () => {
  const own = (await twins()).generic
  await own.initialAccessToken('S3CR3T-init')
  const nobody = new Client(await discover(own.base, { transport: 'loopback_http' }), {})
  const refused = await rejection(nobody.register({ metadata: asked, initialAccessToken: 'S3CR3T-other' }))
  assert.equal(refused.code, 'denied.invalid_token')
  assert.ok(!inspect(refused).includes('S3CR3T'))
  assert.ok((await nobody.register({ metadata: asked, initialAccessToken: 'S3CR3T-init' })).clientId)
})

/** RFC 7591 section 2.3. */
test('what a publisher states about software goes before what it says itself', async () => {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const publisher = 'https://publisher.example'
  const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const claims = { iss: publisher, software_id: '4NRB1', client_name: 'The stated', redirect_uris: [callback] }
  const input = `${part({ alg: 'ES256' })}.${part(claims)}`
  const signature = sign('sha256', input, { key: privateKey, dsaEncoding: 'ieee-p1363' }).toString('base64url')
  const metadata = { ...asked, client_name: 'Another', software_statement: `${input}.${signature}` }
  const nobody = new Client(await known(), {})
  await assert.rejects(nobody.register({ metadata }), { code: 'denied.unapproved_software_statement' })
  await generic.trustPublisher(publisher, { keys: [publicKey.export({ format: 'jwk' })] })
  const told = await nobody.register({ metadata })
  assert.equal(told.metadata.client_name, 'The stated')
  // The statement was for this request, and is not sent again.
  assert.equal(told.metadata.software_statement, undefined)
})
