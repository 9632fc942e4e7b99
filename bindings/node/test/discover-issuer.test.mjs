// Discovering a user's issuer (OpenID Connect Discovery section 2): natively, with `fetch`, and step by step.
import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { core, rejection, twins } from './helper.mjs'

const { Client, DiscoveredIssuer, discover } = core
const place = '/.well-known/webfinger'
const rel = 'http://openid.net/specs/connect/1.0/issuer'

const { generic: twin } = await twins()
const { base } = twin
const host = base.replace('http://', '')
const server = await discover(base, { transport: 'loopback_http' })

const client = (options) => new Client(server, { clientId: 'id', clientAuth: 'none', ...options })
const code = async (identifier) => (await rejection(client().discoverIssuer({ identifier }))).code
const countRequests = async () => (await twin.log()).filter(({ path }) => path === place).length

for (const [name, options] of [['native', {}], ['fetch', { fetch }]]) {
  test(`the issuer is discovered at the host of the identifier: ${name}`, async () => {
    for (const typed of [`acct:alice@${host}`, `${base}/alice`]) {
      const found = await client(options).discoverIssuer({ identifier: typed })
      assert(found instanceof DiscoveredIssuer)
      assert.deepEqual([found.issuer, found.identifier], [base, typed])
      assert(!inspect(found).includes('alice'))
      assert.equal((await discover(found.issuer, { transport: 'loopback_http' })).issuer, base)
    }
  })
}

test('discovery accepts a URL object with or without the trailing slash of the issuer', async () => {
  const transport = 'loopback_http'
  assert.equal((await discover(new URL(base), { transport })).issuer, base)
  assert.equal((await rejection(discover(`${base}/`, { transport }))).code, 'metadata.issuer')
  const slash = createServer((_, response) => {
    const issuer = `http://127.0.0.1:${slash.address().port}/`
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify({ issuer, token_endpoint: `${issuer}token`, response_types_supported: ['code'] }))
  })
  await new Promise((done) => slash.listen(0, '127.0.0.1', done))
  const { href } = new URL(`http://127.0.0.1:${slash.address().port}`)
  assert.equal((await discover(new URL(href), { transport })).issuer, href)
  slash.close()
  slash.closeAllConnections()
})

test('a response about another subject is rejected', async () => {
  const before = await countRequests()
  assert.equal(await code(`acct:bob@${host}`), 'webfinger.subject')
  assert.equal(await code(`acct:carol@${host}`), 'denied.http_status')
  await twin.fault('without_member', { member: 'links' })
  assert.equal(await code(`acct:alice@${host}`), 'webfinger.no_issuer')
  await twin.fault('redirect_to')
  assert.equal(await code(`acct:alice@${host}`), 'reply.redirect')
  assert.equal(await countRequests(), before + 4)
})

for (const typed of ['', '=alice', 'mailto:alice@example.com', 'http://example.com/alice', 'alice@ex\u00e4mple.com']) {
  test(`an identifier without a host is refused before anything is sent: ${JSON.stringify(typed)}`, async () => {
    const before = await countRequests()
    assert.equal(await code(typed), 'webfinger.identifier')
    assert.equal(await countRequests(), before)
  })
}

test('issuer discovery runs step by step', () => {
  const play = (responseBody) => {
    const exchange = client().exchange.discoverIssuer({ identifier: 'Joe@Example.com' })
    const step = exchange.begin()
    assert.deepEqual([step.kind, step.method], ['send', 'GET'])
    assert(step.url.startsWith(`https://example.com${place}?resource=acct%3AJoe%40example.com&rel=http%3A`), step.url)
    const headers = [['content-type', 'application/jrd+json']]
    return exchange.reply({ status: 200, headers, body: Buffer.from(JSON.stringify(responseBody)) })
  }
  const validResponse = { subject: 'acct:Joe@example.com', links: [{ rel, href: 'https://as.example/a' }] }
  const done = play(validResponse)
  assert.equal(done.kind, 'done')
  assert.deepEqual([done.value.issuer, done.value.identifier], ['https://as.example/a', 'acct:Joe@example.com'])
  for (const [change, refused] of [
    [{ subject: 'acct:joe@example.com' }, 'webfinger.subject'],
    [{ links: [{ rel: 'issuer', href: 'https://as.example' }] }, 'webfinger.no_issuer'],
    [{ links: [{ rel, href: 'http://as.example' }] }, 'webfinger.issuer'],
  ]) {
    assert.throws(() => play({ ...validResponse, ...change }), (error) => error.code === refused)
  }
})
