// A certified authorization server for clients with stricter requirements: pushed and signed requests, signed responses,
// sender-constrained tokens, rich authorization requests. The user always approves. The server enforces FAPI 2.0 for all of
// them.
//
// DPoP proofs need a nonce of this server, at the token endpoint and at UserInfo. Access tokens live for
// ACCESS_TOKEN_SECONDS, 60 by default. GET /_counters returns the number of refreshes, of proofs that needed
// another nonce, and of other rejections. POST /_advance/60 advances the server's clock by that many seconds: with time it
// replaces its nonces, and takes those of a few minutes. POST /_nonces makes all of them worthless at once, POST /_expire
// all access tokens. Pages of the origin in PAGE_ORIGIN, if it is set, may read its replies. With REQUIRE_PUSHED=yes the
// server's metadata says that every authorization request has to be pushed, and no other is accepted.
//
// Prints one line of JSON once it listens: {"issuer": ..., "clients": {...}}. Stops when its standard input closes.
import { randomBytes } from 'node:crypto'
import { createServer } from 'node:http'
import Provider from 'oidc-provider'
import { createMemoryAdapter } from 'oidc-provider/lib/adapters/memory_adapter.js'
import { answerElsewhere, ciba, elsewhereFeatures } from './elsewhere.mjs'
import { keyPair } from './keys.mjs'

const server = createServer()
await new Promise((done) => server.listen(0, '127.0.0.1', done))
const issuer = `http://127.0.0.1:${server.address().port}`
const api = 'https://api.example/'

const ec = () => keyPair('ec', { namedCurve: 'P-256' })
const [signing, opening] = [ec(), ec()]
const pem = (key) => key.export({ type: 'pkcs8', format: 'pem' })
const jwk = (key, more) => ({ ...key.export({ format: 'jwk' }), ...more })

const alg = 'ES256'
const keyed = {
  redirect_uris: ['http://127.0.0.1/callback'],
  application_type: 'native',
  scope: 'openid offline_access read',
  grant_types: ['client_credentials', 'authorization_code', 'refresh_token'],
  authorization_details_types: ['payment'],
  token_endpoint_auth_method: 'private_key_jwt',
  token_endpoint_auth_signing_alg: alg,
  id_token_signed_response_alg: alg,
  authorization_signed_response_alg: alg,
  jwks: {
    keys: [
      // A key with the same kid that this client never uses.
      jwk(keyPair('rsa', { modulusLength: 2048 }).publicKey, { kid: 'theirs', use: 'sig' }),
      jwk(signing.publicKey, { kid: 'theirs', use: 'sig' }),
      jwk(opening.publicKey, { kid: 'for-them', use: 'enc' }),
    ],
  },
}
const signed = {
  require_pushed_authorization_requests: true,
  require_signed_request_object: true,
  request_object_signing_alg: alg,
}
const clients = {
  // FAPI 2.0 Security Profile, and Message Signing.
  security: { ...keyed, dpop_bound_access_tokens: true, require_pushed_authorization_requests: true },
  signing: { ...keyed, ...signed, dpop_bound_access_tokens: true },
  // Requests through the browser, signed; responses in whichever mode.
  browser: { ...keyed, request_object_signing_alg: alg, require_signed_request_object: true },
  // Encrypted request objects.
  secretive: {
    ...keyed,
    request_object_signing_alg: alg,
    require_signed_request_object: true,
    request_object_encryption_alg: 'ECDH-ES+A256KW',
    request_object_encryption_enc: 'A256GCM',
  },
  encrypted: {
    ...keyed,
    authorization_encrypted_response_alg: 'ECDH-ES',
    authorization_encrypted_response_enc: 'A256GCM',
  },
  // A public client whose tokens are bound to a key.
  public: {
    ...keyed,
    jwks: undefined,
    grant_types: ['authorization_code', 'refresh_token'],
    token_endpoint_auth_method: 'none',
    token_endpoint_auth_signing_alg: undefined,
    dpop_bound_access_tokens: true,
  },
  // A browser client whose requests must be pushed.
  page: {
    ...keyed,
    jwks: undefined,
    grant_types: ['authorization_code', 'refresh_token'],
    token_endpoint_auth_method: 'none',
    token_endpoint_auth_signing_alg: undefined,
    require_pushed_authorization_requests: true,
  },
  // Its user approves on their own device; the client signs these requests (CIBA).
  backchannel: {
    ...keyed,
    grant_types: [...keyed.grant_types, ciba],
    backchannel_token_delivery_mode: 'poll',
    backchannel_authentication_request_signing_alg: alg,
  },
}
const registered = Object.entries(clients).map(([client_id, client]) => ({ client_id, ...client }))

const now = Date.now
let ahead = 0
Date.now = () => now() + ahead

const counters = { refreshes: 0, refused: 0, use_dpop_nonce: 0, use_dpop_nonce_at_api: 0 }
const issued = new Set()
const configuration = {
  adapter: createMemoryAdapter(),
  clients: registered,
  scopes: ['openid', 'offline_access', 'read'],
  jwks: { keys: [jwk(ec().privateKey, { kid: 'sig', use: 'sig' }), jwk(ec().privateKey, { kid: 'enc', use: 'enc' })] },
  cookies: { keys: ['not a secret, this server lives for one test'] },
  clientAuthMethods: ['private_key_jwt', 'none'],
  enabledJWA: {
    requestObjectEncryptionAlgValues: ['ECDH-ES', 'ECDH-ES+A256KW'],
    requestObjectEncryptionEncValues: ['A128CBC-HS256', 'A256GCM'],
    authorizationEncryptionAlgValues: ['ECDH-ES'],
    authorizationEncryptionEncValues: ['A256GCM'],
  },
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    encryption: { enabled: true },
    // Applies to every request: its redirect URI, PKCE, and the times and audience of signed requests.
    fapi: { enabled: true, profile: '2.0' },
    introspection: { enabled: true },
    pushedAuthorizationRequests: {
      enabled: true,
      requirePushedAuthorizationRequests: process.env.REQUIRE_PUSHED === 'yes',
    },
    requestObjects: { enabled: true },
    ciba: elsewhereFeatures.ciba,
    jwtResponseModes: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => undefined,
      useGrantedResource: () => true,
      getResourceServerInfo: (ctx, resource) => ({ audience: resource, scope: 'read', accessTokenFormat: 'opaque' }),
    },
    richAuthorizationRequests: {
      enabled: true,
      types: { payment: { validate: () => {} } },
      authorizationDetailsForGrantSource: (ctx) => JSON.parse(ctx.oidc.params.authorization_details ?? '[]'),
      // The server grants more than was requested.
      authorizationDetailsForAccessToken: (ctx, token, source) => (source?.rar ?? []).map((detail) => ({ ...detail, id: 'p-4711' })),
      authorizationDetailsForIntrospection: (ctx, token) => token.rar ?? [],
    },
  },
  clientBasedCORS: (ctx, origin) => origin === process.env.PAGE_ORIGIN,
  rotateRefreshToken: true,
  issueRefreshToken: (ctx, client) => client.grantTypeAllowed('refresh_token'),
  ttl: { AccessToken: Number(process.env.ACCESS_TOKEN_SECONDS ?? 60), ClientCredentials: 60, RefreshToken: 600, Grant: 600, Interaction: 60, Session: 600 },
  findAccount: (ctx, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}` },
}

/** A provider with nonces of its own. All of them share their keys, and what is stored. */
function provide() {
  const dPoP = { enabled: true, nonceSecret: randomBytes(32), requireNonce: () => true }
  const provider = new Provider(issuer, { ...configuration, features: { ...configuration.features, dPoP } })
  provider.on('access_token.saved', (token) => issued.add(token))
  provider.on('grant.success', (ctx) => {
    if (ctx.oidc.params.grant_type === 'refresh_token') counters.refreshes += 1
  })
  provider.on('grant.error', (ctx, error) => {
    if (error.error === 'use_dpop_nonce') counters.use_dpop_nonce += 1
    else counters.refused += 1
  })
  provider.on('userinfo.error', (ctx, error) => {
    if (error.error === 'use_dpop_nonce') counters.use_dpop_nonce_at_api += 1
  })
  return { provider, answer: provider.callback() }
}
let current = provide()

/** Carries out a test's command. */
async function control(path) {
  if (path === '/_nonces') current = provide()
  else if (path === '/_expire') await Promise.all([...issued].map((token) => token.destroy()))
  else ahead += Number(path.slice('/_advance/'.length)) * 1000
}

/** Logs in and approves every request, as a user with a browser would. */
async function agree(request, response) {
  const { provider } = current
  const { prompt, params, session, grantId } = await provider.interactionDetails(request, response)
  if (prompt.name === 'login') {
    return provider.interactionFinished(request, response, { login: { accountId: 'somebody' } })
  }
  const grant = grantId
    ? await provider.Grant.find(grantId)
    : new provider.Grant({ accountId: session.accountId, clientId: params.client_id })
  grant.addOIDCScope('openid offline_access read')
  for (const resource of [params.resource ?? []].flat()) grant.addResourceScope(resource, 'read')
  for (const detail of JSON.parse(params.authorization_details ?? '[]')) grant.addRar(detail)
  const consent = { grantId: await grant.save() }
  return provider.interactionFinished(request, response, { consent }, { mergeWithLastSubmission: true })
}

server.on('request', (request, response) => {
  if (request.url === '/_counters') {
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(counters))
  } else if (request.url.startsWith('/_answer/') && request.method === 'POST') {
    answerElsewhere(current.provider, request, response)
  } else if (/^\/_(nonces|expire|advance\/\d+)$/.test(request.url) && request.method === 'POST') {
    control(request.url).then(() => response.writeHead(204).end(), (error) => response.writeHead(500).end(String(error)))
  } else if (request.url.startsWith('/interaction/')) {
    agree(request, response).catch((error) => response.writeHead(500).end(String(error)))
  } else {
    current.answer(request, response)
  }
})
const keys = { private_key: JSON.stringify(jwk(signing.privateKey, { kid: 'theirs' })), decryption_key: jwk(opening.privateKey, { kid: 'for-them' }) }
const startupClients = Object.fromEntries(Object.keys(clients).map((client_id) => [client_id, { client_id, ...keys }]))
console.log(JSON.stringify({ issuer, api, clients: startupClients }))
process.stdin.resume()
process.stdin.on('end', () => process.exit(0))
