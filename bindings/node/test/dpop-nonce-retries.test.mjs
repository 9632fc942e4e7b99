// A request with a body that an API answers with a nonce challenge (RFC 9449 section 9) is sent again, with the same
// body, over Node's own fetch and over undici's with a pool.
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import path from 'node:path'
import { after, test } from 'node:test'
import { Browser, core, fapiProvider, root, twins } from './helper.mjs'

const undici = createRequire(path.join(root, 'bindings/node/package.json'))('undici')

const { Client, DpopKey, discover, privateKeyJwt } = core
const pool = new undici.Agent({ connections: 2 })
after(() => pool.close())

/** The transports of API requests. */
const transports = {
  fetch: globalThis.fetch,
  undici: (url, init) => undici.fetch(url, { ...init, dispatcher: pool }),
}

const bytes = new TextEncoder().encode('a=b')
const form = () => {
  const form = new FormData()
  form.set('a', 'b')
  return form
}

const { generic } = await twins()
await generic.requireDpop()
const { clientId, clientSecret, issuer } = await generic.client()
const server = await discover(issuer, { transport: 'loopback_http' })
const url = `${generic.base}/api/echo`

for (const [name, fetch] of Object.entries(transports)) {
  const newSource = async () => {
    const client = new Client(server, { clientId, clientSecret, dpopKey: await DpopKey.generate(), fetch })
    return client.clientCredentials({ scope: 'read write', origins: [generic.base] })
  }

  for (const [kind, body] of Object.entries({
    text: 'a=b', parameters: new URLSearchParams({ a: 'b' }), bytes, blob: new Blob([bytes]), form: form(),
  })) {
    test(`a ${kind} body is resent for a nonce over ${name}`, async () => {
      const source = await newSource()
      await source.token()
      const before = (await generic.log()).length
      const reply = await source.fetch(url, { method: 'POST', body })
      assert.equal(reply.status, 200)
      const sent = (await generic.log()).slice(before)
      assert.deepEqual(sent.map(({ method, status }) => [method, status]), [['POST', 401], ['POST', 200]])
      const headerOf = ({ headers }, name) => headers.find(([key]) => key === name)?.[1]
      const describe = (entry) => [entry.body_bytes, headerOf(entry, 'content-type'), JSON.stringify(entry.form)]
      const bodies = sent.map(describe)
      assert.deepEqual(bodies[1], bodies[0])
      if (kind !== 'form') assert.equal(sent[1].body_bytes, 3)
    })
  }

  test(`a Request is resent for a nonce, and a stream is not: ${name}`, async () => {
    const source = await newSource()
    await source.token()
    const before = (await generic.log()).length
    const post = (init) => source.fetch(url, { method: 'POST', ...init })
    assert.equal((await post({ body: new Blob([bytes]).stream() })).status, 401)
    assert.equal((await source.fetch(new Request(url, { method: 'POST', headers: { 'x-more': '1' } }))).status, 200)
    await generic.rotateNonces('once')
    assert.equal((await source.fetch(new Request(url, { method: 'POST', headers: { 'x-more': '2' } }))).status, 200)
    const sent = (await generic.log()).slice(before)
    assert.deepEqual(sent.map(({ status }) => status), [401, 200, 401, 200])
    const markers = sent.map(({ headers }) => headers.find(([name]) => name === 'x-more')?.[1])
    assert.deepEqual(markers, [undefined, '1', '2', '2'])
  })

  test(`a POST is resent when oidc-provider requires a nonce: ${name}`, async () => {
    const { issuer, clients } = await fapiProvider()
    const server = await discover(issuer, { transport: 'loopback_http' })
    const redirectUri = 'http://127.0.0.1/callback'
    const clientAuth = privateKeyJwt(clients.security.private_key, { alg: 'ES256' })
    const client = new Client(server, { clientId: 'security', clientAuth, dpopKey: await DpopKey.generate(), fetch })
    const { url, flow } = await client.beginAuthorization({ redirectUri, scope: 'openid', push: 'always' })
    const callback = await new Browser(({ href }) => href.startsWith(redirectUri)).open(url)
    const source = client.source(await client.redeem(flow, callback.url), { origins: [issuer] })
    const count = async () => (await (await globalThis.fetch(`${issuer}/_counters`)).json()).use_dpop_nonce_at_api
    // UserInfo requests may be POST requests (OpenID Connect Core section 5.3.1).
    const post = async () => {
      const reply = await source.fetch(`${issuer}/me`, { method: 'POST', body: new URLSearchParams({ a: 'b' }) })
      return (await reply.json()).sub
    }
    assert.equal(await post(), 'somebody')
    assert.equal(await count(), 1)
    // The nonce is reused until the server sends a new one.
    assert.equal(await post(), 'somebody')
    assert.equal(await count(), 1)
    await globalThis.fetch(`${issuer}/_nonces`, { method: 'POST' })
    assert.equal(await post(), 'somebody')
    assert.equal(await count(), 2)
  })
}
