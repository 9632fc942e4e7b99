// The tokens of SPIFFE, AWS, Azure and Google Cloud, each read for each request, in place of a secret or as a subject
// token.
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, test } from 'node:test'
import { inspect } from 'node:util'
import { core, listen, rejection, serverAt } from './helper.mjs'

const { Client, assertionFunction, workloadIdentity } = core
const ENTRA = 'api://AzureADTokenExchange'
const HIDDEN = 'S3CR3T'
const PLATFORMS = ['spiffe', 'aws', 'azure', 'gcp']

/** A token as the platform would sign it; its signature is not verified here. */
function token(audience, number) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const claims = { sub: `spiffe://example.org/${HIDDEN}-${number}`, aud: audience, exp: Math.floor(Date.now() / 1000) + 300 }
  return `${part({ alg: 'ES256' })}.${part(claims)}.c2ln`
}

/** Where a platform puts the tokens of a workload. */
async function startPlatform(platform) {
  const folder = await mkdtemp(path.join(tmpdir(), 'workload-'))
  after(() => rm(folder, { recursive: true }))
  const file = path.join(folder, 'token')
  const place = { now: '', asked: [] }
  // Google's metadata service, which only responds to requests with its header.
  const service = await listen((request, reply) => {
    place.asked.push(new URL(request.url, 'http://localhost'))
    reply.statusCode = request.headers['metadata-flavor'] === 'Google' ? 200 : 403
    reply.end(place.now)
  })
  place.put = async (text) => {
    place.now = text
    await writeFile(file, `${text}\n`)
  }
  place.options = {
    spiffe: { path: file, env: {} },
    aws: { env: { AWS_WEB_IDENTITY_TOKEN_FILE: file } },
    azure: { env: { AZURE_FEDERATED_TOKEN_FILE: file } },
    gcp: { env: { GCE_METADATA_HOST: service.replace('http://', '') } },
  }[platform]
  return place
}

/** A server that gives everybody tokens, and remembers what it was shown. */
async function shop() {
  const shown = []
  const base = await listen(async (request, reply) => {
    let body = ''
    for await (const chunk of request) body += chunk
    shown.push(Object.fromEntries(new URLSearchParams(body)))
    const responseBody = { access_token: 'a', token_type: 'Bearer', issued_token_type: 'urn:ietf:params:oauth:token-type:access_token' }
    reply.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(responseBody))
  })
  return { base, shown }
}

for (const platform of PLATFORMS) {
  test(`a token in place of a secret is read again for each request: ${platform}`, async () => {
    const [place, { base, shown }] = [await startPlatform(platform), await shop()]
    const clientAuth = workloadIdentity(platform, place.options)
    const client = new Client(serverAt(base), { clientId: 'me', clientAuth })
    const audience = platform === 'azure' ? ENTRA : base
    const kind = platform === 'spiffe' ? 'jwt-spiffe' : 'jwt-bearer'
    for (const number of [1, 2]) {
      await place.put(token(audience, number))
      await client.clientCredentials({ scope: 'read' }).token()
      const form = shown.at(-1)
      assert.equal(form.client_assertion, place.now)
      assert.equal(form.client_id, platform === 'azure' ? 'me' : undefined)
      assert.equal(form.client_assertion_type, `urn:ietf:params:oauth:client-assertion-type:${kind}`)
      assert.ok(!('client_secret' in form) && !('subject_token' in form))
    }
    if (platform === 'gcp') {
      const { pathname, searchParams } = place.asked.at(-1)
      assert.equal(pathname, '/computeMetadata/v1/instance/service-accounts/default/identity')
      assert.deepEqual(Object.fromEntries(searchParams), { audience: base, format: 'full' })
      assert.equal(place.asked.length, 2)
    }
    // A token for another audience, or no token: nothing is sent.
    await place.put(token('https://other.example', 3))
    const foreign = await rejection(client.clientCredentials().token())
    assert.equal(foreign.code, 'client_auth.assertion_audience')
    await place.put('')
    const empty = await rejection(client.clientCredentials().token())
    assert.equal(empty.code, 'lost.unsent')
    assert.equal(shown.length, 2)
    assert.ok(!inspect([foreign, empty, client, clientAuth], { depth: 9, showHidden: true }).includes(HIDDEN))
  })

  test(`a subject token is read again for each exchange: ${platform}`, async () => {
    const [place, { base, shown }] = [await startPlatform(platform), await shop()]
    const clientAuth = workloadIdentity(platform, { exchangeAudience: '//pool', ...place.options })
    const client = new Client(serverAt(base), { clientId: 'me', clientAuth })
    for (const number of [1, 2]) {
      await place.put(token('//pool', number))
      assert.equal((await client.clientCredentials({ scope: 'read' }).token()).accessToken, 'a')
      const form = shown.at(-1)
      assert.equal(form.grant_type, 'urn:ietf:params:oauth:grant-type:token-exchange')
      assert.deepEqual([form.subject_token, form.audience], [place.now, '//pool'])
      assert.equal(form.subject_token_type, 'urn:ietf:params:oauth:token-type:jwt')
      assert.ok(!('client_assertion' in form))
    }
  })
}

test('a platform library function is called for each token', async () => {
  const { base, shown } = await shop()
  const queuedTokens = [token(base, 1), token(base, 2)]
  const remaining = [...queuedTokens]
  const client = new Client(serverAt(base), { clientId: 'me', clientAuth: assertionFunction(async () => remaining.shift()) })
  for (const expected of queuedTokens) {
    await client.clientCredentials().token()
    assert.equal(shown.at(-1).client_assertion, expected)
  }
})

test('missing and unsupported platform settings are named', async () => {
  const { base } = await shop()
  for (const [platform, options, code, named] of [
    ['spiffe', {}, 'workload.setup', 'spiffe needs the path'],
    ['aws', {}, 'environment.missing', 'AWS_WEB_IDENTITY_TOKEN_FILE'],
    ['azure', {}, 'environment.missing', 'AZURE_FEDERATED_TOKEN_FILE'],
    ['aws', { variable: 'X' }, 'workload.setup', 'aws has no variable'],
    ['gcp', { path: '/x' }, 'workload.setup', 'gcp has no file'],
  ]) {
    const made = () => new Client(serverAt(base), { clientId: 'me', clientAuth: workloadIdentity(platform, { env: {}, ...options }) })
    assert.throws(made, (error) => error.code === code && error.message.includes(named))
  }
})
