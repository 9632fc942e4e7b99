// `Network`: certificates and proxies, for token requests and for calls to APIs.
import assert from 'node:assert/strict'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { inspect } from 'node:util'
import { core, listen, rejection, serverAt, tls } from './helper.mjs'

const { Client, Network, discover, fixedToken, provider } = core
const { base, mutual, ca, certificate, key, client_id: clientId, client_secret: clientSecret } = await tls()
const folder = mkdtempSync(path.join(tmpdir(), 'oauth-core-'))
const results = (twinBase) => `${twinBase}/api/v2/sessionResults/?testId=1`

const createClient = (network, twinBase = base) =>
  new Client(provider('usertesting', { loopback: twinBase }), { clientId, clientSecret, network })

/** Requests a token, and calls the API with it: the status. */
async function callWithToken(network, twinBase = base) {
  const source = createClient(network, twinBase).clientCredentials({ scope: 'studies:read' })
  await source.token()
  const reply = await source.fetch(results(twinBase))
  assert.equal((await reply.json()).testId, '1')
  return reply.status
}

const code = (act) => act().then(() => 'nothing went wrong', (error) => error.code)

test('a private CA is trusted if configured', async () => {
  const file = path.join(folder, 'ca.pem')
  writeFileSync(file, ca)
  for (const authority of [ca, file, pathToFileURL(file)]) {
    assert.equal(await callWithToken(new Network({ ca: authority })), 200)
    assert.equal(await callWithToken(new Network({ onlyCa: authority })), 200)
  }
  assert.equal(await code(() => callWithToken(undefined)), 'lost.tls')
  assert.equal(await code(() => callWithToken(new Network())), 'lost.tls')
})

test('the certificates in NODE_EXTRA_CA_CERTS are trusted', async () => {
  process.env.NODE_EXTRA_CA_CERTS = path.join(folder, 'extra.pem')
  after(() => delete process.env.NODE_EXTRA_CA_CERTS)
  assert.throws(() => new Network(), { code: 'transport.setup', message: /NODE_EXTRA_CA_CERTS/ })
  writeFileSync(process.env.NODE_EXTRA_CA_CERTS, ca)
  const network = new Network()
  delete process.env.NODE_EXTRA_CA_CERTS
  assert.equal(await callWithToken(network), 200)
})

test('the client certificate is presented to a server that requests one', async () => {
  const keyFile = path.join(folder, 'key.pem')
  writeFileSync(keyFile, key)
  const withCertificate = new Network({ ca, clientCertificate: certificate, clientKey: keyFile })
  assert.equal(await callWithToken(withCertificate, mutual), 200)
  assert.equal(await callWithToken(new Network({ ca, clientCertificate: certificate + key }), mutual), 200)
  assert.match(await code(() => callWithToken(new Network({ ca }), mutual)), /^lost/)
  assert.doesNotMatch(inspect(withCertificate, { showHidden: true, depth: 9 }), /PRIVATE/)
})

/** A proxy that accepts every CONNECT, and records the requests. */
async function tunnel(requestedHosts) {
  const server = createServer((client) => {
    client.once('data', (head) => {
      requestedHosts.push(String(head).toLowerCase())
      const [host, port] = String(head).split(' ')[1].split(':')
      const resourceClient = connect(port, host, () => {
        client.write('HTTP/1.1 200 OK\r\n\r\n')
        client.pipe(resourceClient).pipe(client)
      })
      for (const end of [client, resourceClient]) end.on('error', () => [client, resourceClient].forEach((one) => one.destroy()))
    })
  })
  await new Promise((done) => server.listen(0, '127.0.0.1', done))
  server.unref()
  return `http://ann:PASSW0RD@127.0.0.1:${server.address().port}`
}

test('token requests and API calls use the configured proxy', async () => {
  const requests = []
  const proxy = await tunnel(requests)
  const network = new Network({ ca, proxy })
  assert.equal(await callWithToken(network), 200)
  const connectLine = `connect ${new URL(base).host} `
  assert.ok(requests.length > 0)
  for (const one of requests) assert.ok(one.startsWith(connectLine) && one.includes('proxy-authorization: basic '), one)
  assert.doesNotMatch(inspect(network, { showHidden: true, depth: 9 }), /PASSW0RD/)

  // The environment's proxy, unless the network disables it.
  process.env.HTTPS_PROXY = proxy
  after(() => delete process.env.HTTPS_PROXY)
  requests.length = 0
  const byEnvironment = new Network({ ca })
  assert.equal(await callWithToken(byEnvironment), 200)
  assert.ok(requests.length > 0)
  requests.length = 0
  assert.equal(await callWithToken(new Network({ ca, proxy: 'direct' })), 200)
  assert.deepEqual(requests, [])
})

test('each entry point accepts a network', async () => {
  const network = new Network({ ca })
  const { accessToken } = await createClient(network).clientCredentials({ scope: 'studies:read' }).token()
  const fixed = fixedToken(accessToken, { origins: [base], network })
  assert.equal((await fixed.fetch(results(base))).status, 200)
  const plain = fixedToken(accessToken, { origins: [base] })
  await assert.rejects(plain.fetch(results(base)), { message: 'fetch failed' })
  // An API uses the network of its source, unless it is given one.
  assert.equal((await plain.api({ network }).fetch(results(base))).status, 200)
  assert.equal((await fixed.api().fetch(results(base))).status, 200)
  const server = provider('usertesting', { loopback: base })
  assert.equal((await server.api({ app: fixed }).fetch(results(base))).status, 200)
  assert.equal((await server.api({ app: plain, network }).fetch(results(base))).status, 200)
  assert.equal(await code(() => discover(base)), 'lost.tls')
  assert.notEqual(await code(() => discover(base, { network })), 'lost.tls')
  assert.throws(() => createClient({ fetch }), TypeError)
  assert.throws(() => new Client(server, { clientId, network, fetch }), TypeError)
})

test('the fetch of a network behaves like fetch', async () => {
  const { fetch } = new Network({ ca })
  const reply = await fetch(new URL(`${base}/_twin/client`))
  assert.equal((await reply.json()).client_id, clientId)
  const posted = await fetch(new Request(`${base}/_twin/advance`, { method: 'POST', body: '{"seconds":0}' }))
  assert.deepEqual([posted.status, await posted.text()], [200, '{}'])
  assert.equal((await fetch(`${base}/_twin/none`, { method: 'HEAD' })).body, null)
  await assert.rejects(fetch(base, { signal: AbortSignal.abort(new Error('enough')) }), { message: 'enough' })
  const controller = new AbortController()
  const unfinished = await fetch(`${base}/_twin/log`, { signal: controller.signal })
  controller.abort(new Error('enough'))
  await assert.rejects(unfinished.text(), { message: 'enough' })
  await assert.rejects(fetch('http://as.example/'), { code: 'url.insecure' })
})

test('localhost is accepted as loopback', async () => {
  const loopbackServer = await listen((request, reply) => {
    const issuer = `http://${request.headers.host}`
    const body = request.method === 'GET'
      ? { issuer, token_endpoint: `${issuer}/token` }
      : { access_token: 't', token_type: 'Bearer' }
    reply.writeHead(200, { 'content-type': 'application/json' })
    reply.end(JSON.stringify(body))
  })
  const issuer = loopbackServer.replace('127.0.0.1', 'localhost')
  const server = await discover(issuer, { transport: 'loopback_http' })
  const client = new Client(server, { clientId: 'id', clientSecret: 's' })
  assert.equal((await client.clientCredentials().token()).accessToken, 't')
  await assert.rejects(discover(issuer), { kind: 'misuse' })
})

test('an invalid header is reported with its name, and not shown', async () => {
  const server = serverAt('http://127.0.0.1:1')
  const network = new Network()
  for (const call of [
    () => new Client(server, { clientId: 'c', headers: { 'x-team': 'S3CR3T\nb' } }),
    () => new Client(server, { clientId: 'c', headers: { 'x-team\n': 'S3CR3T' } }),
  ]) {
    const error = await rejection(Promise.resolve().then(call))
    assert.equal(error.code, 'http.header_value')
    assert.ok(error.message.includes('headers: x-team') && !error.message.includes('S3CR3T'), error.message)
  }
  // Node's own Headers are first to refuse these.
  await assert.rejects(network.fetch('https://api.example/', { headers: { 'x-team': 'a\nb' } }), TypeError)
})

test('invalid network settings are rejected at construction', () => {
  const none = path.join(folder, 'none.pem')
  const broken = '-----BEGIN CERTIFICATE-----\nS3CR3T\n-----END CERTIFICATE-----\n'
  const wrong = [
    [{ ca: none }, ': ca: '],
    [{ ca: broken }, ': ca: '],
    [{ onlyCa: none }, ': onlyCa: '],
    [{ onlyCa: broken }, ': onlyCa: '],
    [{ ca: 'a', onlyCa: 'b' }, 'ca or onlyCa'],
    [{ clientKey: 'S3CR3T' }, 'a clientKey without a clientCertificate'],
    [{ clientCertificate: 'S3CR3T\n' }, ': clientCertificate: '],
    [{ clientCertificate: 'MIGHAgEAMBMGByqGSM49S3CR3T/a' }, ': clientCertificate: '], // a key that lacks its PEM lines
    [{ clientCertificate: broken, clientKey: none }, ': clientKey: '],
    [{ proxy: 'gopher://S3CR3T' }, 'proxy'],
    [{ userAgent: 'a\nb' }, ': userAgent '],
  ]
  for (const [options, named] of wrong) {
    assert.throws(() => new Network(options), (error) => {
      assert.equal(error.code, 'transport.setup')
      assert.ok(error.message.includes(named), error.message)
      assert.ok(!error.message.includes('S3CR3T'))
      return true
    })
  }
  for (const options of [{ timeoutMs: 0 }, { connectTimeoutMs: -1 }]) assert.throws(() => new Network(options), TypeError)
  assert.throws(() => new Network({ inFlightPerOrigin: 0 }))
})
