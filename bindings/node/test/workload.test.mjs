// Services without a client secret: the tokens of platforms, client files, and environment variables.
import assert from 'node:assert/strict'
import { createPrivateKey, randomUUID, sign } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { inspect } from 'node:util'
import { core, listen, oidcProvider, rejection, serverAt } from './helper.mjs'

const { Client, Server, workloadIdentity } = core
const HIDDEN = 'hunter22-secret'
const TENANT = '9188040d-6c67-4c5b-b112-36a304b66dad'

const provider = await oidcProvider()
const key = createPrivateKey(provider.clients['key-ES256'].private_key)
const folder = mkdtempSync(join(tmpdir(), 'oauth-workload-'))
after(() => rmSync(folder, { recursive: true }))

const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url')

/** A token that the provider accepts from the client, as a workload platform signs it. */
function signWorkloadToken(audience = provider.issuer) {
  const now = Math.floor(Date.now() / 1000)
  const claims = { iss: 'key-ES256', sub: 'key-ES256', aud: audience, jti: randomUUID(), iat: now, exp: now + 60 }
  const input = `${part({ alg: 'ES256' })}.${part(claims)}`
  return `${input}.${sign('sha256', Buffer.from(input), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`
}

/** GitHub's token service, which responds to any request with the job's bearer token. */
async function github() {
  const requests = []
  const base = await listen((request, reply) => {
    requests.push(request.url)
    const { searchParams } = new URL(request.url, 'http://localhost')
    const isJob = request.headers.authorization === 'Bearer job-token'
    const responseBody = isJob ? { value: signWorkloadToken(searchParams.get('audience')) } : { message: 'no' }
    reply.writeHead(isJob ? 200 : 401, { 'content-type': 'application/json' }).end(JSON.stringify(responseBody))
  })
  return { asked: requests, url: `${base}/idtoken?api-version=2.0` }
}

const job = ({ url }, token = 'job-token') => ({
  OAUTH_ISSUER: provider.issuer,
  OAUTH_CLIENT_ID: 'key-ES256',
  OAUTH_WORKLOAD: 'github_actions',
  ACTIONS_ID_TOKEN_REQUEST_URL: url,
  ACTIONS_ID_TOKEN_REQUEST_TOKEN: token,
})
const loopback = { transport: 'loopback_http' }

for (const [transport, more] of Object.entries({ native: {}, fetch: { fetch } })) {
  test(`a GitHub job requests a new identity token for each exchange: ${transport}`, async () => {
    const service = await github()
    const client = await Client.fromEnv({ env: job(service), ...loopback, ...more })
    assert.equal(client.clientId, 'key-ES256')
    const { accessToken: token } = await client.clientCredentials({ scope: 'read' }).token()
    assert.equal((await client.introspect({ token })).clientId, 'key-ES256')
    assert.equal(service.asked.length, 2)
    assert.equal(service.asked[0], `/idtoken?api-version=2.0&audience=${encodeURIComponent(provider.issuer)}`)
  })

  test(`a refusal of the token service is reported: ${transport}`, async () => {
    const service = await github()
    const client = await Client.fromEnv({ env: job(service, HIDDEN), ...loopback, ...more })
    const error = await rejection(client.clientCredentials().token())
    assert.equal(error.code, 'workload.refused')
    assert.ok(!inspect(error).includes(HIDDEN))
  })
}

/** A server that issues tokens to everyone, and records the requests. */
async function permissiveServer() {
  const shown = []
  const base = await listen(async (request, reply) => {
    let body = ''
    for await (const chunk of request) body += chunk
    shown.push(new URLSearchParams(body))
    const responseBody = { access_token: 'a', token_type: 'Bearer', issued_token_type: 'urn:ietf:params:oauth:token-type:access_token' }
    reply.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(responseBody))
  })
  return { base, shown }
}

test('a file and a variable are read each time, by default those of the process', async () => {
  const { base, shown } = await permissiveServer()
  const place = join(folder, 'token')
  const fetchToken = (clientAuth) => new Client(serverAt(base), { clientId: 'me', clientAuth }).clientCredentials().token()
  const inFile = workloadIdentity('kubernetes', { path: pathToFileURL(place) })
  const inVariable = workloadIdentity('gitlab_ci', { variable: 'CI_IDP_TOKEN' })
  assert.equal((await rejection(fetchToken(inFile))).code, 'lost.unsent')
  const unset = await rejection(fetchToken(inVariable))
  assert.deepEqual([unset.code, unset.message.includes('CI_IDP_TOKEN')], ['environment.missing', true])
  assert.deepEqual(shown, [])
  after(() => delete process.env.CI_IDP_TOKEN)
  for (const turn of ['first', 'second']) {
    const [one, other] = [signWorkloadToken(base), signWorkloadToken(base)]
    writeFileSync(place, `${one}\n`)
    process.env.CI_IDP_TOKEN = other
    await fetchToken(inFile)
    await fetchToken(inVariable)
    assert.deepEqual(shown.slice(-2).map((form) => form.get('client_assertion')), [one, other], turn)
  }
})

test('a workload token is exchanged if an exchange audience is set', async () => {
  const { base, shown } = await permissiveServer()
  const service = await github()
  const clientAuth = workloadIdentity('github_actions', { audience: base, exchangeAudience: '//pool', env: job(service) })
  const client = new Client(serverAt(base), { clientId: 'me', clientAuth })
  for (const turn of [1, 2]) {
    assert.equal((await client.clientCredentials().token()).accessToken, 'a')
    assert.equal(service.asked.length, turn)
  }
  const [form] = shown
  assert.deepEqual([form.get('audience'), form.get('client_id'), form.get('client_assertion')], ['//pool', 'me', null])
  assert.equal(form.get('subject_token').split('.').length, 3)
})

test('an external account rereads its subject token for each exchange', async () => {
  const place = join(folder, 'subject')
  const { base, shown } = await permissiveServer()
  const account = {
    type: 'external_account',
    audience: '//iam.googleapis.com/pool',
    subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
    token_url: `${base}/token`,
    credential_source: { file: place },
  }
  const file = join(folder, 'account.json')
  writeFileSync(file, JSON.stringify(account))
  const client = await Client.fromFile(file, loopback)
  for (const token of ['first', 'second']) {
    writeFileSync(place, token)
    assert.equal((await client.clientCredentials().token()).accessToken, 'a')
    const form = shown.at(-1)
    assert.deepEqual([form.get('subject_token'), form.get('audience')], [token, account.audience])
    assert.equal(form.get('client_id'), null)
  }
  const impersonating = JSON.stringify({ ...account, service_account_impersonation_url: 'https://iamcredentials.googleapis.com/x' })
  assert.equal((await rejection(Client.fromJson(impersonating))).code, 'client_file.unsupported')
  // A token is shown to Google alone.
  assert.equal((await rejection(Client.fromJson(JSON.stringify(account)))).code, 'client_file.malformed')
})

test('Google and Entra client files are recognized', async () => {
  const inner = {
    client_id: '1.apps.googleusercontent.com',
    client_secret: HIDDEN,
    token_uri: 'https://oauth2.googleapis.com/token',
    redirect_uris: ['https://app.example/callback'],
  }
  const google = await Client.fromJson(JSON.stringify({ web: inner }))
  assert.deepEqual([google.server.issuer, google.clientId], ['https://accounts.google.com', inner.client_id])
  assert.throws(() => google.authorize({ redirectUri: 'https://other.example/callback', scope: 'openid' }), { code: 'redirect_uri.not_registered' })
  const entra = await Client.fromJson(JSON.stringify({ clientId: 'c', clientSecret: HIDDEN, tenantId: TENANT }))
  assert.ok(entra.server.issuer.includes(TENANT))
  const principal = join(folder, 'principal.json')
  // As the Azure CLI prints it, kept with an editor that puts a byte order mark before it.
  writeFileSync(principal, `\ufeff${JSON.stringify({ appId: 'c', displayName: 'd', password: HIDDEN, tenant: TENANT })}`)
  assert.ok((await Client.fromFile(principal)).server.issuer.includes(TENANT))
  const section = (ClientCredentials) => JSON.stringify({ AzureAd: { ClientId: 'c', TenantId: TENANT, ClientCredentials } })
  const described = await Client.fromJson(section([{ SourceType: 'ClientSecret', ClientSecret: HIDDEN }]))
  // A public client would be refused here.
  described.exchange.clientCredentials({ scope: 'api://a/.default' }).begin()
  const assertion = Client.fromJson(section([{ SourceType: 'SignedAssertionFilePath' }]))
  assert.equal((await rejection(assertion)).code, 'client_file.unsupported')
  assert.ok(!inspect([google, entra], { depth: 9, showHidden: true }).includes(HIDDEN))
  assert.equal((await rejection(Client.fromFile(join(folder, 'gone.json')))).code, 'client_file.unreadable')
})

test('errors of client files and variables name the problem and show no secret', async () => {
  const plain = { issuer: 'https://as.example', client_id: 'c' }
  for (const [file, named] of [
    [HIDDEN, 'JSON'],
    [{ ...plain, client_id: undefined, client_secret: HIDDEN }, 'client_id'],
    [{ ...plain, client_secert: HIDDEN }, 'client_secert'],
    [{ ...plain, client_secret: HIDDEN, private_key: HIDDEN }, 'not several'],
  ]) {
    const error = await rejection(Client.fromJson(typeof file === 'string' ? file : JSON.stringify(file)))
    assert.deepEqual([error.code, error.message.includes(named)], ['client_file.malformed', true], error.message)
    assert.ok(!inspect(error).includes(HIDDEN))
  }
  const baseEnv = { OAUTH_ISSUER: provider.issuer, OAUTH_CLIENT_ID: 'c' }
  for (const [env, code, named] of [
    [{}, 'environment.missing', 'OAUTH_ISSUER or OAUTH_PROVIDER'],
    [{ ...baseEnv, OAUTH_CLIENT_ID: undefined }, 'environment.missing', 'OAUTH_CLIENT_ID'],
    [{ ...baseEnv, OAUTH_CLIENT_SECRET: HIDDEN, OAUTH_WORKLOAD: 'gcp' }, 'environment.conflict', 'OAUTH_CLIENT_SECRET and OAUTH_WORKLOAD'],
    [{ ...baseEnv, OAUTH_WORKLOAD: 'heroku' }, 'workload.setup', 'heroku'],
  ]) {
    const error = await rejection(Client.fromEnv({ env, ...loopback }))
    assert.deepEqual([error.code, error.message.includes(named)], [code, true], error.message)
    assert.ok(!inspect(error).includes(HIDDEN))
  }
  const server = Server.fromMetadata('https://as.example', { issuer: 'https://as.example', token_endpoint: 'https://as.example/token' })
  assert.throws(() => new Client(server, { clientId: 'c', clientAuth: workloadIdentity('spiffe') }), { code: 'workload.setup' })
  assert.throws(() => workloadIdentity(7), TypeError)
  assert.equal(workloadIdentity('gcp').method, 'private_key_jwt')
})

test('environment variables configure a client with a secret', async () => {
  const { client_id: id, client_secret: secret } = provider.clients.basic
  const place = join(folder, 'secret')
  writeFileSync(place, `${secret}\n`)
  const baseEnv = { OAUTH_ISSUER: provider.issuer, OAUTH_CLIENT_ID: id }
  for (const more of [{ OAUTH_CLIENT_SECRET: secret }, { OAUTH_CLIENT_SECRET_FILE: place }]) {
    const client = await Client.fromEnv({ env: { ...baseEnv, ...more }, ...loopback })
    assert.ok((await client.clientCredentials({ scope: 'read' }).token()).accessToken)
  }
  const file = join(folder, 'client.json')
  writeFileSync(file, JSON.stringify({ issuer: provider.issuer, client_id: id, client_secret: secret }))
  const client = await Client.fromEnv({ env: { OAUTH_CLIENT_FILE: file }, ...loopback })
  assert.ok((await client.clientCredentials({ scope: 'read' }).token()).accessToken)
})
