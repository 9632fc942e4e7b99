// Tokens that are bound to a certificate, at an API on TLS that compares it (RFC 8705 section 3).
import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { core, fapiTls } from './helper.mjs'

const { Client, FileStore, MemoryStore, Network, Tokens, discover } = core
const { base, mutual, ca, certificates, client_id: clientId } = await fapiTls()
const redirectUri = 'https://app.example/callback'
const api = `${mutual}/api/echo`
const WORKERS = 4

async function client(number) {
  const certificate = certificates[number]
  const network = new Network({ onlyCa: ca, clientCertificate: certificate, clientKey: certificate })
  return new Client(await discover(base, { network }), {
    clientId,
    clientAuth: 'tls_client_auth',
    tlsClientCertificateBoundAccessTokens: true,
    idTokenSignedResponseAlg: 'PS256',
    network,
  })
}

/** A request with what `fetch` does not support: a certificate authority, and a client certificate. */
function send(url, { body, certificate, ...init } = {}) {
  return new Promise((done, fail) => {
    const outgoing = request(url, { ca, cert: certificate, key: certificate, agent: false, ...init }, (reply) => {
      let text = ''
      reply.on('data', (part) => (text += part)).on('end', () => done({ status: reply.statusCode, headers: reply.headers, text }))
    })
    outgoing.on('error', fail).end(body)
  })
}

async function fetchTokens(client) {
  const { url, flow } = await client.beginAuthorization({ redirectUri, scope: 'openid read', push: 'always' })
  const { headers } = await send(url)
  return client.redeem(flow, headers.location)
}

const counters = async () => JSON.parse((await send(`${base}/_twin/counters`)).text)
const refreshes = async () => (await counters()).refreshes
/** How often the API was sent a token over a connection with a certificate other than the token's. */
const misboundCount = async () => (await counters()).api_misbound
const expire = () => send(`${base}/_twin/expire`, { method: 'POST', body: '{}' })
const status = async (source) => (await source.fetch(api)).status

test('an API accepts a certificate-bound token only with its certificate', async () => {
  const before = await misboundCount()
  const source = (await client(0)).clientCredentials({ scope: 'read', origins: [mutual] })
  const { accessToken } = await source.token()
  assert.equal(await status(source), 200)
  for (const [number, expected] of [[0, 200], [1, 401]]) {
    const headers = { authorization: `Bearer ${accessToken}` }
    const stolen = await send(api, { headers, certificate: certificates[number] })
    assert.equal(stolen.status, expected)
  }
  assert.equal(await misboundCount(), before + 1, 'the thief')
})

test('clients that authenticate with different certificates share no token', async () => {
  const store = new MemoryStore()
  const before = await misboundCount()
  const sources = await Promise.all([0, 1].map(async (number) => {
    const certificate = certificates[number]
    const network = new Network({ onlyCa: ca, clientCertificate: certificate, clientKey: certificate })
    const ownClient = new Client(await discover(base, { network }), { clientId, clientAuth: 'tls_client_auth', network })
    return ownClient.clientCredentials({ scope: 'read', store, origins: [mutual] })
  }))
  const accessTokens = []
  for (const source of sources) accessTokens.push((await source.token()).accessToken)
  assert.notEqual(accessTokens[0], accessTokens[1])
  for (const source of sources) assert.equal(await status(source), 200)
  assert.equal(await misboundCount(), before)
})

/** Workers share one store, and get the new certificate one after the other. */
test('replacing the certificates of running workers fails no call', async () => {
  const store = new MemoryStore()
  const [old, other] = [await client(0), await client(1)]
  const newWorker = (client) => client.source(undefined, { store, subject: 'alice', origins: [mutual] })
  await newWorker(old).logIn(await fetchTokens(old))
  const fleet = Array.from({ length: WORKERS }, () => newWorker(old))
  const before = await refreshes()
  const misboundBefore = await misboundCount()
  const callFromEach = async () => {
    for (const source of fleet) assert.equal(await status(source), 200)
  }
  await callFromEach()
  assert.equal(await refreshes(), before)
  for (const index of fleet.keys()) {
    fleet[index] = newWorker(other)
    await callFromEach()
    // The first that has the new one gets a token for it; the others still use theirs.
    assert.equal(await refreshes(), before + 1)
  }
  await expire()
  await callFromEach()
  assert.equal(await refreshes(), before + 2)
  assert.equal(await misboundCount(), misboundBefore, 'no token met another certificate')
})

/** Each worker finds a token of the other in the store, and renews it without sending it. */
test('tokens that expire during a certificate rotation fail no call', async () => {
  const store = new MemoryStore()
  const [old, other] = [await client(0), await client(1)]
  const [first, second] = [old, other].map((ownClient) => ownClient.source(undefined, { store, subject: 'bob', origins: [mutual] }))
  await first.logIn(await fetchTokens(old))
  const misboundBefore = await misboundCount()
  for (let expiry = 0; expiry < 3; expiry++) {
    const before = await refreshes()
    for (const source of [first, second, first, second]) assert.equal(await status(source), 200)
    assert.ok(await refreshes() - before <= 2)
    await expire()
  }
  assert.equal(await misboundCount(), misboundBefore, 'no token met another certificate')
})

/** A worker in a process of its own. */
async function startWorker(number, folder) {
  const config = JSON.stringify({ base, mutual, ca, clientId, certificate: certificates[number], folder })
  const worker = fork(fileURLToPath(new URL('certificates-worker.mjs', import.meta.url)), [config])
  await once(worker, 'message')
  return worker
}

test('processes with two certificates find their own tokens in a file store', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'oauth-core-'))
  const fleet = []
  t.after(() => {
    for (const worker of fleet) worker.disconnect()
    rmSync(folder, { recursive: true })
  })
  const store = new FileStore(join(folder, 'grants'))
  const ownClient = await client(0)
  const login = ownClient.source(undefined, { store, subject: 'carol' })
  await login.logIn(await fetchTokens(ownClient))
  const misboundBefore = await misboundCount()
  const tokenRequests = async () => (await counters()).token_requests
  /** Has all workers call at once; returns the number of token requests that this takes. */
  const call = async (workers) => {
    const before = await tokenRequests()
    const pendingMessages = workers.map(async (worker) => {
      const message = once(worker, 'message')
      worker.send('call')
      return (await message)[0].status
    })
    assert.deepEqual(await Promise.all(pendingMessages), workers.map(() => 200))
    return await tokenRequests() - before
  }
  const startPair = async () => {
    fleet.push(await startWorker(0, join(folder, 'grants')), await startWorker(1, join(folder, 'grants')))
    return fleet.slice(-2)
  }
  // The worker with the other certificate needs its own token.
  assert.equal(await call(await startPair()), 1)
  for (let expiry = 0; expiry < 2; expiry++) {
    // Workers that start later find the token for their certificate.
    assert.equal(await call(await startPair()), 0)
    // Two hours later, each certificate needs a new token, which the other workers find.
    const { version, record } = await store.load(login.key)
    const old = record.replaceAll(/"received_at":(\d+)/g, (_, at) => `"received_at":${at - 7200}`)
    assert.equal(old.match(/"received_at"/g).length, 2)
    assert.ok(await store.save(login.key, old, version))
    assert.equal(await call(await startPair()), 2)
    assert.equal(await call(fleet.slice(-2)), 0)
  }
  assert.equal(await misboundCount(), misboundBefore, 'no token met another certificate')
})

/** After a restart with a new certificate, the tokens are still bound to the old one, even without a store. */
test('tokens bound to another certificate are renewed instead of sent', async () => {
  const restored = Tokens.deserialize((await fetchTokens(await client(0))).serialize())
  const [before, misboundBefore] = [await refreshes(), await misboundCount()]
  const call = async (number) => status((await client(number)).source(restored, { origins: [mutual] }))
  assert.equal(await call(0), 200)
  assert.equal(await refreshes(), before)
  assert.equal(await call(1), 200)
  assert.equal(await refreshes(), before + 1)
  assert.equal(await misboundCount(), misboundBefore)
})
