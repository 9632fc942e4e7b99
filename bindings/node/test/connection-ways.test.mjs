// Ways of a connection without a browser: a code on another device, an identity provider, a client of its own.
import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { followToCallback, core, rejection, twins } from './helper.mjs'

const { Client, ResourceConnection, discover } = core

const { generic: twin, 'identity-provider': idp } = await twins()
await twin.pollingInterval(1)
const redirectUri = 'https://app.example/callback'

const unexpected = (url) => { throw new Error(`nobody is to be sent to ${url}`) }
const connection = (options) => new ResourceConnection(`${twin.base}/api/echo`,
  { open: unexpected, timeoutMs: 30_000, transport: 'loopback_http', ...options })

/** A connection of the client that is preregistered at the twin. */
async function createConnection(options) {
  const { clientId, clientSecret } = await twin.client()
  return connection({ clientId, clientSecret, issuer: twin.base, ...options })
}

test('a connection logs in with a code that the user enters on another device', async () => {
  const codes = []
  const show = (code) => {
    codes.push(code)
    fetch(code.verificationUriComplete).catch(() => {})
  }
  const api = connection({ clientName: 'Notes', device: true, show })
  assert.equal((await api.fetch(api.url)).status, 200)
  assert.equal(codes.length, 1)
  assert(codes[0] instanceof core.DeviceAuthorizationResponse)
  assert(codes[0].prompt.includes(`let Notes use ${api.url}`), codes[0].prompt)
  // Its tokens are renewed as usual.
  await twin.expire()
  assert.equal((await api.fetch(api.url)).status, 200)
  assert.equal(codes.length, 1)
})

test('an error thrown by the callback that shows the code is rethrown', async () => {
  const failure = new RangeError('no screen')
  const show = () => { throw failure }
  const api = connection({ clientName: 'Notes', device: true, show })
  assert.equal(await rejection(api.token()), failure)
  assert.throws(() => connection({ device: true, show: 1 }), /show must be a function/)
})

test('a server without a token endpoint is refused before registration and login', async () => {
  const isRegistration = ({ path }) => path === '/register'
  const before = (await twin.log()).filter(isRegistration).length
  await twin.fault('without_member', { member: 'token_endpoint' })
  assert.equal((await rejection(connection({ clientName: 'Other notes' }).token())).code, 'endpoint.missing')
  assert.equal((await twin.log()).filter(isRegistration).length, before)
})

/** A client of the identity provider, and the tokens of a user who signs in to it. */
async function signedIn() {
  const { clientId, clientSecret, issuer } = await idp.client()
  await idp.vouchTo(twin.base, (await twin.client()).clientId)
  await twin.trustIdentityProvider(idp.base)
  const server = await discover(issuer, { transport: 'loopback_http' })
  const client = new Client(server, { clientId, clientSecret })
  const { url, flow } = client.authorize({ redirectUri, scope: 'openid read' })
  return { client, login: await client.redeem(flow, await followToCallback(url, redirectUri)) }
}

test('an identity provider asserts the user’s identity, without a browser', async () => {
  const { client, login } = await signedIn()
  const customSource = { token: async () => login, renew: unexpected, invalidate: unexpected }
  for (const signIn of [client.source(login), customSource]) {
    const api = await createConnection({ identityProvider: client, signIn })
    const { scope } = await (await api.fetch(api.url)).json()
    assert.equal(scope, 'read write')
    // Each token needs a new assertion, and no user interaction.
    await twin.expire()
    const before = (await twin.counters()).token_requests
    assert.equal((await api.fetch(api.url)).status, 200)
    assert.equal((await twin.counters()).token_requests, before + 1)
  }
})

test('without an ID token there is no identity assertion', async () => {
  const { client, login } = await signedIn()
  const signIn = client.clientCredentials({ scope: 'read' })
  const api = await createConnection({ identityProvider: client, signIn })
  const missing = await rejection(api.token())
  assert.deepEqual([missing.code, missing.advice], ['identity_assertion.no_id_token', 'reauthorize'])
  const grant = core.identityAssertionGrant(client, await signIn.token(), client)
  assert.equal((await rejection(grant)).code, 'identity_assertion.no_id_token')

  const directoryError = new Error('the directory is down')
  const broken = { token: async () => { throw directoryError }, renew: unexpected, invalidate: unexpected }
  assert.equal(await rejection((await createConnection({ identityProvider: client, signIn: broken })).token()), directoryError)
  await assert.rejects(createConnection({ signIn: client.source(login) }), /must be given together/)
})

test('a connection uses client credentials', async () => {
  const api = await createConnection({ grantType: 'client_credentials' })
  assert.equal((await api.fetch(api.url)).status, 200)
  await twin.expire()
  assert.equal((await api.fetch(api.url)).status, 200)
})

test('a connection rejects a key with a custom audience that was used at another server', async () => {
  // A server could have an assertion made out to another (RFC 10070).
  const encodings = { privateKeyEncoding: { type: 'pkcs8', format: 'pem' }, publicKeyEncoding: { type: 'spki', format: 'pem' } }
  const { privateKey: key } = generateKeyPairSync('ec', { namedCurve: 'P-256', ...encodings })
  const { clientId } = await twin.client()
  const issuer = 'https://other.example'
  const client = (clientAuth) => new Client(core.Server.fromMetadata(issuer, { issuer }), { clientId: 'me', clientAuth })
  const rejectionOf = async (clientAuth) =>
    (await rejection(connection({ clientId, clientAuth, issuer: twin.base, grantType: 'client_credentials' }).token())).code
  const used = core.privateKeyJwt(key, { audience: `${issuer}/token` })
  client(used)
  assert.equal(await rejectionOf(used), 'key.used_at_two_servers')
  // Unknown to this server, but it gets assertions of it.
  const other = core.privateKeyJwt(key, { audience: `${twin.base}/token` })
  assert.notEqual(await rejectionOf(other), 'key.used_at_two_servers')
  assert.throws(() => client(other), { code: 'key.used_at_two_servers' })
})

test('a connection registers for certificate-bound tokens if configured', async () => {
  // RFC 8705 section 3.4.
  const { generic } = await twins()
  const url = `${generic.base}/api/echo`
  const open = (page) => { fetch(page).catch(() => {}) }
  for (const bound of [true, false]) {
    const store = new core.MemoryStore()
    const api = new ResourceConnection(url, {
      clientName: 'Notes', open, store, timeoutMs: 30_000, transport: 'loopback_http', tlsClientCertificateBoundAccessTokens: bound,
    })
    assert.equal((await api.fetch(url)).status, 200)
    const { keys } = await store.scan()
    const storedRecords = JSON.stringify(await Promise.all(keys.map((key) => store.load(key))))
    assert.equal(storedRecords.includes('tls_client_certificate_bound_access_tokens'), bound)
  }
})

test('an initial access token authorizes a registration, and is not stored', async () => {
  const { generic } = await twins()
  await generic.initialAccessToken('S3CR3T-init')
  const pages = []
  const open = (page) => {
    pages.push(page)
    fetch(page).catch(() => {})
  }
  const url = `${generic.base}/api/echo`
  const made = (options) => new ResourceConnection(url, { clientName: 'Notes', open, timeoutMs: 30_000, transport: 'loopback_http', ...options })
  for (const initialAccessToken of [undefined, 'S3CR3T-other']) {
    const api = made({ initialAccessToken })
    const error = await rejection(api.token())
    assert.ok(error instanceof core.DeniedError && error.status === 401, inspect(error))
    assert.ok(!inspect([error, api], { depth: 9, showHidden: true }).includes('S3CR3T'))
  }
  assert.deepEqual(pages, [])

  const store = new core.MemoryStore()
  const api = made({ initialAccessToken: 'S3CR3T-init', store })
  assert.equal((await api.fetch(url)).status, 200)
  const log = await generic.log()
  // The log redacts: that the right one was sent the server has said, which took it.
  const authorized = log.filter(({ headers }) => headers.some(([name]) => name === 'authorization'))
  assert.deepEqual(authorized.map((entry) => entry.path), ['/register', '/register', '/api/echo'])
  // It entitles to register, and is not stored.
  const { keys } = await store.scan()
  const storedRecords = await Promise.all(keys.map((key) => store.load(key)))
  assert.ok(storedRecords.length > 0 && !JSON.stringify(storedRecords).includes('S3CR3T'))
  assert.equal(pages.length, 1)
})
