// The identity of the user at npm's oidc-provider: encrypted and signed tokens, and logout.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Browser, core, listen, oidcProvider } from './helper.mjs'

const { AccessTokenVerifier, Client, checkLogoutReturn, discover } = core
const api = 'https://api.example/'
const redirectUri = 'http://127.0.0.1/callback'
const home = 'http://127.0.0.1/signed-out'
const isHome = ({ href }) => href.startsWith(redirectUri) || href.startsWith(home)

const mail = []
const mailbox = await listen(async (request, response) => {
  let body = ''
  for await (const part of request) body += part
  mail.push([request.method, request.url, new URLSearchParams(body)])
  response.end()
})
const { issuer, clients } = await oidcProvider({ BACKCHANNEL_LOGOUT_URI: `${mailbox}/logout`, POST_METHODS: '1' })
const server = await discover(issuer, { transport: 'loopback_http' })

function client(which, options) {
  const { client_id: clientId, client_secret: clientSecret, decryption_key: key } = clients[which]
  const keys = key ? { decryptionKeys: [JSON.stringify(key)] } : {}
  return new Client(server, { clientId, clientSecret, clientAuth: 'client_secret_basic', ...keys, ...options })
}

async function signIn(client, browser = new Browser(isHome), extra = {}) {
  const { url, flow } = client.authorize({ redirectUri, scope: 'openid read', extra })
  return client.redeem(flow, (await browser.open(url)).url)
}

for (const alg of ['RSA-OAEP-256', 'ECDH-ES+A256KW', 'A192GCMKW', 'dir']) {
  test(`an encrypted ID token is decrypted: ${alg}`, async () => {
    const enc = 'A256CBC-HS512'
    const encryption = { idTokenEncryptedResponseAlg: alg, idTokenEncryptedResponseEnc: enc }
    assert.equal((await signIn(client(`id-token-${alg}-${enc}`, encryption))).claims.sub, 'somebody')
    const other = { ...encryption, idTokenEncryptedResponseEnc: 'A256GCM' }
    await assert.rejects(signIn(client(`id-token-${alg}-${enc}`, other)), { code: 'jwe.alg_not_allowed' })
  })
}

const algs = [
  'ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519', 'RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'HS256', 'HS384', 'HS512',
]

test('ID tokens signed with each algorithm are verified', async () => {
  const offered = Object.keys(clients).filter((which) => which.startsWith('signed-')).map((which) => which.slice('signed-'.length))
  assert.deepEqual(offered.sort(), [...algs].sort())
  for (const [at, alg] of algs.entries()) {
    const ownClient = client(`signed-${alg}`, { idTokenSignedResponseAlg: alg })
    assert.equal((await signIn(ownClient)).claims.sub, 'somebody', alg)
    const other = client(`signed-${alg}`, { idTokenSignedResponseAlg: algs.at(at - 1) })
    await assert.rejects(signIn(other), { code: 'jws.alg_not_allowed' }, alg)
  }
})

test('tokens are verified after the server rotates its keys', async () => {
  const serverProcess = await oidcProvider()
  const server = await discover(serverProcess.issuer, { transport: 'loopback_http' })
  const { client_id: clientId, client_secret: clientSecret } = serverProcess.clients.logout
  const client = new Client(server, { clientId, clientSecret, clientAuth: 'client_secret_basic' })
  const before = await signIn(client)
  const keys = client.exportKeys()
  await fetch(`${serverProcess.issuer}/_rotate`, { method: 'POST' })
  const after = await signIn(client)
  assert.equal(after.claims.sub, 'somebody')
  assert.notEqual(client.exportKeys(), keys)
  const verified = ({ idToken: token, claims: { nonce } }) => client.verifyIdToken({ token, nonce })
  assert.equal((await verified(after)).subject, 'somebody')
  await assert.rejects(verified(before), { code: 'jws.no_matching_key' })
})

test('a code that does not match the c_hash of the ID token is rejected', async () => {
  const ownClient = client('hybrid')
  const begin = async () => {
    const { url, flow } = ownClient.authorize({ redirectUri, scope: 'openid read', responseType: 'code id_token' })
    return [flow, (await new Browser(isHome).open(url)).url]
  }
  const [flow, callback] = await begin()
  assert.equal((await ownClient.redeem(flow, callback)).claims.sub, 'somebody')
  const [next, callbackUrl] = await begin()
  const injected = callbackUrl.href.replace(/code=[^&]*/, 'code=another')
  await assert.rejects(ownClient.redeem(next, injected), { code: 'id_token.c_hash' })
  assert.throws(() => ownClient.authorize({ redirectUri, responseType: 'token' }), /responseType/)
})

test('signed and encrypted UserInfo responses are verified', async () => {
  const signed = client('userinfo-signed', { userinfoSignedResponseAlg: 'ES256' })
  const both = client('userinfo-both', {
    userinfoSignedResponseAlg: 'PS256',
    userinfoEncryptedResponseAlg: 'ECDH-ES',
    userinfoEncryptedResponseEnc: 'A256GCM',
  })
  for (const client of [signed, both]) {
    const tokens = await signIn(client)
    assert.equal((await client.userinfo({ tokens, subject: 'somebody' })).claims.sub, 'somebody')
    await assert.rejects(client.userinfo({ tokens, subject: 'somebody else' }), { code: 'userinfo.subject' })
  }
  const other = client('userinfo-signed', { userinfoSignedResponseAlg: 'RS256' })
  const tokens = await signIn(other)
  await assert.rejects(other.userinfo({ tokens, subject: 'somebody' }), { code: 'jws.alg_not_allowed' })
})

test('a signed introspection response is verified', async () => {
  const ownClient = client('introspection-signed')
  const { accessToken: token } = await ownClient.clientCredentials({ scope: 'read' }).token()
  const introspection = await ownClient.introspect({ token, signedResponseAlg: 'ES256' })
  assert.deepEqual([introspection.active, introspection.clientId], [true, 'introspection-signed'])
  assert.equal((await ownClient.introspect({ token: 'never issued', signedResponseAlg: 'ES256' })).active, false)
  await assert.rejects(ownClient.introspect({ token, signedResponseAlg: 'RS256' }), { code: 'jws.alg_not_allowed' })
})

test('an API verifies an access token and its audience', async () => {
  const { accessToken } = await client('basic').clientCredentials({ scope: 'read', resource: [api] }).token()
  const verified = await new AccessTokenVerifier(server, { audience: api, scope: 'read' }).verify(accessToken)
  assert.deepEqual([verified.issuer, verified.clientId], [issuer, clients.basic.client_id])
  const elsewhere = new AccessTokenVerifier(server, { audience: 'https://other.example/' })
  await assert.rejects(elsewhere.verify(accessToken), { code: 'jwt.audience', responseStatus: 401 })
})

test('a token encrypted for an API can be read only by that API', async () => {
  const sealed = 'https://sealed.example/'
  const issued = async (resource) => {
    const { accessToken } = await client('basic').clientCredentials({ scope: 'read', resource: [resource] }).token()
    return accessToken
  }
  const [token, plain] = [await issued(sealed), await issued(api)]
  const encryption = { accessTokenEncryptionAlg: 'ECDH-ES', accessTokenEncryptionEnc: 'A256GCM' }
  const decryptionKeys = [JSON.stringify(clients['sealed-api'].decryption_key)]
  const verifier = new AccessTokenVerifier(server, { audience: [sealed, api], scope: 'read', ...encryption, decryptionKeys })
  const verified = await verifier.verify(token)
  assert.deepEqual([verified.audience, verified.clientId], [[sealed], clients.basic.client_id])
  assert.deepEqual((await client('sealed-api', encryption).verifyAccessToken({ token, audience: sealed })).audience, [sealed])
  await assert.rejects(verifier.verify(plain), { code: 'jwe.not_encrypted', responseStatus: 401 })
  const alone = new AccessTokenVerifier(server, { audience: sealed })
  await assert.rejects(alone.verify(token), { code: 'jwe.unexpected', responseStatus: 401 })
  const other = { ...encryption, accessTokenEncryptionEnc: 'A128GCM', decryptionKeys }
  await assert.rejects(new AccessTokenVerifier(server, { audience: sealed, ...other }).verify(token), { code: 'jwe.alg_not_allowed' })
  assert.throws(() => new AccessTokenVerifier(server, { audience: sealed, ...encryption }), { code: 'arguments.inconsistent' })
})

/** The user approves on the server's page. */
async function signOut(browser, ...way) {
  const { page } = await browser.open(...way)
  const [, action] = page.match(/action="([^"]*)"/)
  const [, xsrf] = page.match(/name="xsrf" value="([^"]*)"/)
  return (await browser.open(action, new URLSearchParams({ xsrf, logout: 'yes' }))).url
}

test('the logout form ends the session of the user', async () => {
  const ownClient = client('logout')
  const browser = new Browser(isHome)
  const { idToken } = await signIn(ownClient, browser)
  const { action, fields } = ownClient.endSessionForm({ idTokenHint: idToken, postLogoutRedirectUri: home, state: 'a +%/ state' })
  checkLogoutReturn(await signOut(browser, action, new URLSearchParams(fields)), { state: 'a +%/ state' })
  await assert.rejects(signIn(ownClient, browser, { prompt: 'none' }), { error: 'login_required' })
  mail.length = 0
})

test('a back-channel logout token is accepted only once', async () => {
  const ownClient = client('logout')
  const browser = new Browser(isHome)
  const { idToken, claims } = await signIn(ownClient, browser)
  await signIn(ownClient, browser, { prompt: 'none' })
  const state = 'a +%/ state'
  const url = await signOut(browser, ownClient.endSessionUrl({ idTokenHint: idToken, postLogoutRedirectUri: home, state }))
  assert.ok(url.href.startsWith(home))
  assert.deepEqual([...url.searchParams], [['state', state]])
  await assert.rejects(signIn(ownClient, browser, { prompt: 'none' }), { error: 'login_required' })

  // The server waits for the answer to what it posts before it sends the browser home.
  const [[method, path, form], ...more] = mail
  assert.deepEqual([method, path, more], ['POST', '/logout', []])
  const token = form.get('logout_token')
  assert.equal((await ownClient.verifyLogoutToken({ token })).sid, claims.sid)
  await assert.rejects(ownClient.verifyLogoutToken({ token }), { code: 'logout_token.replayed' })
})
