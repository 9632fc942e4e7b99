// Vectors of `mcp` and `scope` that show in what a connection asks a server for: tests/vectors/README.md names them.
import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { test } from 'node:test'
import { followToCallback, core, listen, rejection, root, twins } from './helper.mjs'

const { Client, MemoryStore, ResourceConnection, discover } = core
const loopbackOptions = { transport: 'loopback_http' }
const { vectors } = JSON.parse(await readFile(path.join(root, 'tests/vectors/vectors.json'), 'utf8'))

/** A user who approves every page that is opened. */
function person() {
  const pages = []
  const open = (page) => {
    pages.push(new URL(page))
    fetch(page).catch(() => {})
  }
  return { pages, open }
}

const connection = (twin, options) => new ResourceConnection(`${twin.base}/api/echo`, { timeoutMs: 30_000, ...loopbackOptions, ...options })

/** An API and its server, which keeps what registers, and the forms of token requests, assertions too. */
async function recorder({ place = '/mcp', ...changes } = {}) {
  const forms = []
  const registered = []
  const base = await listen(async (request, reply) => {
    const responders = {
      [`/.well-known/oauth-protected-resource${place}`]: () => ({ resource: `${base}${place}`, authorization_servers: [base], scopes_supported: ['mcp:read'] }),
      '/.well-known/oauth-authorization-server': () => ({
        issuer: base, token_endpoint: `${base}/token`, authorization_endpoint: `${base}/authorize`, registration_endpoint: `${base}/register`,
        response_types_supported: ['code'], code_challenge_methods_supported: ['S256'], token_endpoint_auth_methods_supported: ['none', 'private_key_jwt', 'client_secret_post'],
        client_id_metadata_document_supported: true, authorization_grant_profiles_supported: ['urn:ietf:params:oauth:grant-profile:id-jag'],
      }),
      '/register': () => ({ ...registered.at(-1), client_id: 'registered', ...changes }),
      '/token': () => ({ access_token: 'a', token_type: 'Bearer', expires_in: 60 }),
    }
    const body = Buffer.concat(await request.toArray()).toString()
    if (request.url === '/register') registered.push(JSON.parse(body))
    if (request.url === '/token') forms.push(new URLSearchParams(body))
    const cannedResponse = responders[request.url]
    reply.writeHead(cannedResponse ? 200 : 404, { 'content-type': 'application/json' }).end(JSON.stringify(cannedResponse?.() ?? {}))
  })
  return { base, forms, registered }
}

/** The URL of a client's metadata document, which these servers take as the client's id. */
async function metadataUrl(...servers) {
  let text
  const home = await listen((_, reply) => reply.setHeader('content-type', 'application/json').end(text))
  const clientId = `${home}/client.json`
  for (const server of servers) await server.acceptClientIdMetadata()
  const client = new Client(await discover(servers[0].base, loopbackOptions), { clientId })
  const metadata = { client_name: 'Notes', redirect_uris: ['http://127.0.0.1/callback'], grant_types: ['authorization_code', 'refresh_token'] }
  ;({ document: text } = await client.clientIdMetadata({ metadata, mcp: true }))
  return clientId
}

test('scope-mcp-none: neither the challenge nor the metadata names a scope', async () => {
  const { generic } = await twins()
  // Of the API, and of the server, whose offline_access would be asked for.
  for (const _ of [1, 2]) await generic.fault('without_member', { member: 'scopes_supported' })
  const { pages, open } = person()
  await connection(generic, { clientName: 'Notes', open }).token()
  assert.equal((await generic.log()).filter(({ fault }) => fault === 'without_member').length, 2)
  assert.deepEqual(pages.map((page) => page.searchParams.get('scope')), [null])
})

test('mcp-application-type: a client with a loopback redirect URI registers as native', async () => {
  const { base, registered } = await recorder()
  const nobody = new Error('nobody is there')
  const open = () => { throw nobody }
  assert.equal(await rejection(new ResourceConnection(`${base}/mcp`, { clientName: 'Notes', open, ...loopbackOptions }).token()), nobody)
  assert.deepEqual(registered.map((metadata) => metadata.application_type), ['native'])
})

test('a loopback redirect URI may be registered without its port', async () => {
  const { base, registered } = await recorder({ redirect_uris: ['http://127.0.0.1/callback'] })
  const nobody = new Error('nobody is there')
  const pages = []
  const open = (page) => {
    pages.push(new URL(page).searchParams.get('redirect_uri'))
    throw nobody
  }
  assert.equal(await rejection(new ResourceConnection(`${base}/mcp`, { clientName: 'Notes', open, ...loopbackOptions }).token()), nobody)
  assert.deepEqual(pages, registered.flatMap((metadata) => metadata.redirect_uris))
})

test('mcp-cc-no-registration: a client_credentials connection does not register dynamically', async () => {
  const { generic } = await twins()
  const refused = await rejection(connection(generic, { clientName: 'Notes', grantType: 'client_credentials' }).token())
  assert.equal(refused.code, 'client_auth.no_usable_method')
  assert.ok((await generic.log()).every(({ path }) => path !== '/register'))
})

test('mcp-cc-jwt: the audience of a client assertion is the issuer', async () => {
  const { base, forms } = await recorder()
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const clientAuth = core.privateKeyJwt(privateKey.export({ type: 'pkcs8', format: 'pem' }))
  const options = { clientId: 'id', clientAuth, issuer: base, grantType: 'client_credentials', ...loopbackOptions }
  assert.equal((await new ResourceConnection(`${base}/mcp`, options).token()).accessToken, 'a')
  const { client_assertion: assertion, ...form } = Object.fromEntries(forms[0])
  assert.deepEqual(form, {
    grant_type: 'client_credentials', scope: 'mcp:read', resource: `${base}/mcp`, client_id: 'id',
    client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
  })
  assert.equal(JSON.parse(atob(assertion.split('.')[1])).aud, base)
})

test('mcp-cimd-portable: one metadata document identifies the client at each server', async () => {
  const [{ generic: one }, { generic: other }] = [await twins(), await twins()]
  const clientMetadataUrl = await metadataUrl(one, other)
  const store = new MemoryStore()
  const seen = []
  for (const twin of [one, other]) {
    const { pages, open } = person()
    const api = connection(twin, { clientMetadataUrl, open, store })
    seen.push((await (await api.fetch(api.url)).json()).client_id, pages.length, (await api.token()).issuer)
  }
  assert.deepEqual(seen, [clientMetadataUrl, 1, one.base, clientMetadataUrl, 1, other.base])
})

test('mcp-ema-cimd: an identity assertion is redeemed by a client with a metadata document', async () => {
  const { 'identity-provider': idp } = await twins()
  const { base, forms } = await recorder()
  const { clientId, clientSecret, issuer } = await idp.client()
  const identityProvider = new Client(await discover(issuer, loopbackOptions), { clientId, clientSecret })
  const redirectUri = 'https://app.example/callback'
  const { url, flow } = identityProvider.authorize({ redirectUri, scope: 'openid read' })
  const signIn = identityProvider.source(await identityProvider.redeem(flow, await followToCallback(url, redirectUri)))
  const clientMetadataUrl = 'https://client.example.com/client.json'
  await idp.vouchTo(base, clientMetadataUrl)
  const api = new ResourceConnection(`${base}/mcp`, { clientMetadataUrl, identityProvider, signIn, ...loopbackOptions })
  assert.equal((await api.token()).accessToken, 'a')
  const form = Object.fromEntries(forms[0])
  assert.deepEqual([form.grant_type, form.client_id], ['urn:ietf:params:oauth:grant-type:jwt-bearer', clientMetadataUrl])
})

// Those whose host has another normal form would be connected to.
const resources = vectors.filter(({ id }) => ['mcp-resource-1', 'mcp-resource-4', 'mcp-resource-5'].includes(id))

test('all URL vectors are tested', () => assert.equal(resources.length, 3))

for (const { id, input, expected } of resources) {
  test(`${id}: tokens are requested for the normalized API URL`, async () => {
    const rest = (url) => url.slice('https://'.length).replace(/^[^/]*/, '')
    const { base, forms } = await recorder({ place: rest(expected.resource) })
    const options = { clientId: 'id', clientSecret: 'secret', issuer: base, grantType: 'client_credentials', ...loopbackOptions }
    const api = new ResourceConnection(`${base}${rest(input.server_url)}`, options)
    assert.equal((await api.token()).accessToken, 'a')
    assert.deepEqual(forms[0].getAll('resource'), [`${base}${rest(expected.resource)}`])
  })
}
