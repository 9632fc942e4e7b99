// A certified authorization server on a loopback port, with a user who always approves.
//
// Pages of the origin in PAGE_ORIGIN, if it is set, may read its replies. Access tokens live for
// ACCESS_TOKEN_SECONDS, 60 if it is not set. GET /_counters tells how often tokens were refreshed,
// how often a refresh token came a second time (which ends its grant), and what else was refused; GET
// /_counters/CLIENT_ID the same of one client. POST /_expire/CLIENT_ID ends the access tokens of a client.
//
// With {"key", "cert", "ca", "client"} in TLS, all PEM, it speaks TLS, and a second port asks for the client's
// certificate: two more clients authenticate with it, and the tokens of three are bound to it (RFC 8705).
//
// CLIENT_JWKS, a JWK Set, is what the client key-rotated has published: any of its keys authenticates it.
//
// Clients that learn who signed in from more than ID tokens are in identity.mjs. BACKCHANNEL_LOGOUT_URI is where
// two of them hear of logouts, SITE a web application that is the client "site". POST /_rotate gives the server new
// signing keys, and forgets the old ones.
//
// Everybody may register a client, or, with INITIAL_ACCESS_TOKEN, whoever brings that; registration access tokens are
// replaced with each update.
// Clients whose users approve on another device are in elsewhere.mjs; BACKCHANNEL_NOTIFICATION_URI is where one is notified
// that somebody did. POST /_answer/yes or /_answer/no is the person's answer on their device.
//
// With POST_METHODS, authorization and logout requests may be posted; its session cookie is then SameSite=None.
//
// ACR_VALUES are the authentication contexts that users can log in with on request, separated by spaces.
//
// With DPOP_NONCES, proofs are taken with a nonce of the server alone (RFC 9449), at the token endpoint and at /me.
//
// Prints one line of JSON once it listens: {"issuer": ..., "clients": {...}}. Stops when its
// standard input closes.
import { X509Certificate, randomBytes } from 'node:crypto'
import { createServer } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import Provider, { interactionPolicy } from 'oidc-provider'
import { answerElsewhere, elsewhereClients, elsewhereFeatures, reaching } from './elsewhere.mjs'
import { keyPair } from './keys.mjs'
import { api, fetchAnywhere, identityAlgs, identityClients, identityFeatures } from './identity.mjs'

// Characters that a wrong Basic encoding breaks.
const odd = { client_id: 'basic: +%/client', client_secret: 's3cret: +%/ and space, long enough' }
const post = { client_id: 'post-client', client_secret: 'another secret: +%/ for the body' }
const open = { client_id: 'native-client' }

const postMethods = 'POST_METHODS' in process.env
const tls = process.env.TLS && JSON.parse(process.env.TLS)
async function listening(server) {
  await new Promise((done) => server.listen(0, '127.0.0.1', done))
  return `${tls ? 'https' : 'http'}://127.0.0.1:${server.address().port}`
}
const server = tls ? createTlsServer({ key: tls.key, cert: tls.cert }) : createServer()
const issuer = await listening(server)
const mutual = tls && createTlsServer({ key: tls.key, cert: tls.cert, ca: tls.ca, requestCert: true })

const grants = {
  grant_types: ['client_credentials', 'authorization_code', 'refresh_token'],
  redirect_uris: ['http://127.0.0.1/callback'],
  application_type: 'native',
  scope: 'openid offline_access read',
}

// A client for each algorithm: it authenticates with it, and its ID tokens are signed with it.
const kinds = {
  rsa: ['rsa', { modulusLength: 2048 }],
  'P-256': ['ec', { namedCurve: 'P-256' }],
  'P-384': ['ec', { namedCurve: 'P-384' }],
  'P-521': ['ec', { namedCurve: 'P-521' }],
  ed25519: ['ed25519', {}],
}
const signers = {
  ES256: 'P-256', ES384: 'P-384', ES512: 'P-521', EdDSA: 'ed25519', Ed25519: 'ed25519',
  RS256: 'rsa', RS384: 'rsa', RS512: 'rsa', PS256: 'rsa', PS384: 'rsa', PS512: 'rsa',
}
const pairs = () => Object.fromEntries(Object.entries(kinds).map(([name, kind]) => [name, keyPair(...kind)]))
const theirs = pairs()
const byKey = Object.entries(signers).map(([alg, kind]) => ({
  client_id: `key-${alg}`,
  private_key: theirs[kind].privateKey.export({ type: 'pkcs8', format: 'pem' }),
  registered: {
    token_endpoint_auth_method: 'private_key_jwt',
    token_endpoint_auth_signing_alg: alg,
    id_token_signed_response_alg: alg,
    jwks: { keys: [{ ...theirs[kind].publicKey.export({ format: 'jwk' }), kid: 'theirs', use: 'sig' }] },
  },
}))
const bySecret = ['HS256', 'HS384', 'HS512'].map((alg) => ({
  client_id: `secret-${alg}`,
  client_secret: `a shared secret of more than 64 bytes, for the longest of the hashes: ${alg}`,
  registered: {
    token_endpoint_auth_method: 'client_secret_jwt',
    token_endpoint_auth_signing_alg: alg,
    id_token_signed_response_alg: alg,
  },
}))
const published = process.env.CLIENT_JWKS
const rotated = published
  ? [{ client_id: 'key-rotated', ...grants, token_endpoint_auth_method: 'private_key_jwt', jwks: JSON.parse(published) }]
  : []
const byCertificate = []
const mutualTls = {}
if (tls) {
  const base = await listening(mutual)
  const { raw, publicKey } = new X509Certificate(tls.client)
  const peer = (ctx) => ctx.socket.getPeerCertificate?.()
  mutualTls.discovery = {
    mtls_endpoint_aliases: {
      token_endpoint: `${base}/token`,
      introspection_endpoint: `${base}/token/introspection`,
      revocation_endpoint: `${base}/token/revocation`,
      userinfo_endpoint: `${base}/me`,
    },
  }
  mutualTls.feature = {
    enabled: true,
    certificateBoundAccessTokens: true,
    tlsClientAuth: true,
    selfSignedTlsClientAuth: true,
    getCertificate: (ctx) => peer(ctx)?.raw && new X509Certificate(peer(ctx).raw).toString(),
    certificateAuthorized: (ctx) => ctx.socket.authorized,
    certificateSubjectMatches: (ctx, property, expected) => `CN=${peer(ctx).subject.CN}` === expected,
  }
  const mutualTlsMetadata = { tls_client_certificate_bound_access_tokens: true }
  byCertificate.push(
    {
      client_id: 'tls-pki',
      registered: { ...mutualTlsMetadata, token_endpoint_auth_method: 'tls_client_auth', tls_client_auth_subject_dn: 'CN=client' },
    },
    {
      client_id: 'tls-self-signed',
      registered: {
        ...mutualTlsMetadata,
        token_endpoint_auth_method: 'self_signed_tls_client_auth',
        jwks: { keys: [{ ...publicKey.export({ format: 'jwk' }), x5c: [raw.toString('base64')] }] },
      },
    },
    // It authenticates with a secret, but its tokens are bound to the certificate.
    {
      client_id: 'tls-bound',
      client_secret: 'the secret of a client that shows a certificate, too',
      registered: { ...mutualTlsMetadata, token_endpoint_auth_method: 'client_secret_basic' },
    },
  )
}
const algs = [...Object.keys(signers), 'HS256', 'HS384', 'HS512']
const identity = identityClients(theirs.rsa, algs, process.env.BACKCHANNEL_LOGOUT_URI, process.env.SITE)
const elsewhere = elsewhereClients(process.env.BACKCHANNEL_NOTIFICATION_URI)

const levels = process.env.ACR_VALUES?.split(' ') ?? []
const requestedLevels = ({ acr_values: acrValues = '' }) => acrValues.split(' ').filter((level) => levels.includes(level))

/** Also prompts for a login if a voluntary acr_values is not satisfied. */
function policy() {
  const { Check, base } = interactionPolicy
  const all = base()
  all.get('login').checks.add(new Check('level', 'the client asks for another level', ({ oidc }) => {
    const levelsRequested = requestedLevels(oidc.params)
    return levelsRequested.length > 0 && !levelsRequested.includes(oidc.acr)
  }))
  return all
}

const configuration = {
  acrValues: levels,
  enabledJWA: { clientAuthSigningAlgValues: algs, idTokenSigningAlgValues: algs, ...identityAlgs(algs) },
  clientAuthMethods: [
    'client_secret_basic', 'client_secret_post', 'client_secret_jwt', 'private_key_jwt', 'none',
    ...(tls ? ['tls_client_auth', 'self_signed_tls_client_auth'] : []),
  ],
  ...(tls ? { discovery: mutualTls.discovery } : {}),
  clients: [
    ...byKey.map(({ client_id, registered }) => ({ client_id, ...grants, ...registered })),
    ...[...bySecret, ...byCertificate, ...identity, ...elsewhere].map(({ client_id, client_secret, registered }) => ({ client_id, client_secret, ...grants, ...registered })),
    ...rotated,
    { ...odd, ...grants, token_endpoint_auth_method: 'client_secret_basic' },
    { ...post, ...grants, token_endpoint_auth_method: 'client_secret_post' },
    {
      ...open,
      ...grants,
      grant_types: ['authorization_code', 'refresh_token'],
      token_endpoint_auth_method: 'none',
    },
  ],
  scopes: ['openid', 'offline_access', 'read'],
  cookies: { keys: ['not a secret, this server lives for one test'], ...(postMethods && { long: { sameSite: 'none' } }) },
  enableHttpPostMethods: postMethods,
  features: {
    clientCredentials: { enabled: true },
    introspection: { enabled: true },
    revocation: { enabled: true },
    registration: { enabled: true, initialAccessToken: process.env.INITIAL_ACCESS_TOKEN ?? false },
    registrationManagement: { enabled: true, rotateRegistrationAccessToken: true },
    devInteractions: { enabled: false },
    ...(process.env.DPOP_NONCES
      ? { dPoP: { enabled: true, nonceSecret: randomBytes(32), requireNonce: () => true } }
      : {}),
    ...identityFeatures,
    ...elsewhereFeatures,
    ...(tls ? { mTLS: mutualTls.feature } : {}),
  },
  fetch: reaching(process.env.BACKCHANNEL_NOTIFICATION_URI, fetchAnywhere),
  clientBasedCORS: (ctx, origin) => origin === process.env.PAGE_ORIGIN,
  pkce: { required: () => true },
  rotateRefreshToken: true,
  issueRefreshToken: (ctx, client) => client.grantTypeAllowed('refresh_token'),
  ttl: { AccessToken: Number(process.env.ACCESS_TOKEN_SECONDS ?? 60), ClientCredentials: 60, RefreshToken: 600, Grant: 600, Interaction: 60, Session: 600 },
  findAccount: (ctx, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}`, policy: policy() },
}

const none = { refreshes: 0, reuse_events: 0, refused: 0, revocations: 0 }
const counters = { ...none }
const countersByClient = new Map()
const accessTokens = new Set()

/** Counts an event of a client. */
function count(ctx, name) {
  counters[name] += 1
  const id = ctx.oidc.client?.clientId
  const clientCounters = countersByClient.get(id) ?? { ...none }
  countersByClient.set(id, { ...clientCounters, [name]: clientCounters[name] + 1 })
}

/** Ends the access tokens of a client. */
async function expire(clientId) {
  for (const token of [...accessTokens].filter((token) => token.clientId === clientId)) {
    accessTokens.delete(token)
    await token.destroy()
  }
}

/** A provider with new keys. All of them share what is stored: sessions, grants and tokens. */
function provide(generation) {
  const keys = Object.entries(pairs()).map(([name, { privateKey }]) => (
    { ...privateKey.export({ format: 'jwk' }), kid: `${name}-${generation}`, use: 'sig' }))
  const provider = new Provider(issuer, { ...configuration, jwks: { keys } })
  provider.on('grant.success', (ctx) => {
    if (ctx.oidc.params.grant_type === 'refresh_token') count(ctx, 'refreshes')
  })
  provider.on('grant.error', (ctx, error) => {
    count(ctx, error.error_detail === 'refresh token already used' ? 'reuse_events' : 'refused')
  })
  provider.on('grant.revoked', (ctx) => count(ctx, 'revocations'))
  provider.on('access_token.saved', (token) => accessTokens.add(token))
  return { provider, answer: provider.callback(), generation }
}
let current = provide(1)

/** Logs in and approves every request, as a user with a browser would. */
async function agree(request, response) {
  const { provider } = current
  const { prompt, params, session, grantId } = await provider.interactionDetails(request, response)
  if (prompt.name === 'login') {
    return provider.interactionFinished(request, response, { login: { accountId: 'somebody', acr: requestedLevels(params)[0] } })
  }
  const grant = grantId
    ? await provider.Grant.find(grantId)
    : new provider.Grant({ accountId: session.accountId, clientId: params.client_id })
  grant.addOIDCScope('openid offline_access read')
  grant.addResourceScope(api, 'read')
  const consent = { grantId: await grant.save() }
  return provider.interactionFinished(request, response, { consent }, { mergeWithLastSubmission: true })
}

function onRequest(request, response) {
  if (request.url === '/_counters') {
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(counters))
  } else if (request.url.startsWith('/_counters/')) {
    const clientCounters = countersByClient.get(request.url.slice('/_counters/'.length)) ?? none
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(clientCounters))
  } else if (request.url.startsWith('/_expire/') && request.method === 'POST') {
    expire(request.url.slice('/_expire/'.length)).then(() => response.writeHead(204).end())
  } else if (request.url === '/_rotate' && request.method === 'POST') {
    current = provide(current.generation + 1)
    response.writeHead(204).end()
  } else if (request.url.startsWith('/_answer/') && request.method === 'POST') {
    answerElsewhere(current.provider, request, response)
  } else if (request.url.startsWith('/interaction/')) {
    agree(request, response).catch((error) => response.writeHead(500).end(String(error)))
  } else {
    current.answer(request, response)
  }
}
server.on('request', onRequest)
mutual?.on('request', onRequest)
const others = Object.fromEntries([...byKey, ...bySecret, ...byCertificate, ...identity, ...elsewhere].map(({ registered: _, ...client }) => [client.client_id, client]))
console.log(JSON.stringify({ issuer, clients: { basic: odd, post, native: open, ...others } }))
process.stdin.resume()
process.stdin.on('end', () => process.exit(0))
