// Two workers share a sign-in whose refresh token requests identity assertions.
import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { createRequire } from 'node:module'
import path from 'node:path'
import { after, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { core, twins } from './helper.mjs'

const { Client, MemoryStore, ResourceConnection, Server, Tokens } = core

function jwt(typ, claims) {
  const encodeJson = (value) => Buffer.from(JSON.stringify(value)).toString('base64url')
  return `${encodeJson({ alg: 'ES256', typ })}.${encodeJson(claims)}.c2ln`
}

async function serve(handleForm) {
  const server = createServer(async (request, response) => {
    const chunks = []
    for await (const chunk of request) chunks.push(chunk)
    const responseBody = await handleForm(new URLSearchParams(Buffer.concat(chunks).toString()))
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(responseBody))
  })
  await new Promise((ready) => server.listen(0, '127.0.0.1', ready))
  after(() => server.close())
  return `http://127.0.0.1:${server.address().port}`
}

/** It rotates refresh tokens, issues no second ID token, and would revoke a sign-in whose refresh token is used twice. */
function identityProvider(audience, takesMs = 300) {
  const seen = { inUse: new Set(), spent: new Set(), twice: [], assertions: 0 }
  const handleForm = async (form) => {
    const refreshed = form.get('refresh_token')
    const token = refreshed ?? form.get('subject_token')
    if (seen.spent.has(token) || seen.inUse.has(token)) seen.twice.push(token)
    seen.inUse.add(token)
    await sleep(takesMs)
    seen.inUse.delete(token)
    if (refreshed === null) {
      seen.assertions += 1
      const assertion = jwt('oauth-id-jag+jwt', { aud: audience, exp: 4_000_000_000 })
      return { access_token: assertion, token_type: 'N_A', expires_in: 300, issued_token_type: 'urn:ietf:params:oauth:token-type:id-jag' }
    }
    seen.spent.add(token)
    return { access_token: `a${seen.spent.size}`, token_type: 'Bearer', expires_in: 600, refresh_token: `r${seen.spent.size}` }
  }
  return { seen, answer: handleForm }
}

/** The login was received then; its ID token has expired since. */
const received = Math.floor(Date.now() / 1000) - 100

const loginAt = (issuer) => Tokens.deserialize(JSON.stringify({
  version: 1, issuer, client_id: 'app', received_at: received, access_token: 'a0', expires_in: 600,
  scope: 'openid', refresh_token: 'r0', refresh_scope: null, id_token: jwt('JWT', { aud: 'app', exp: received + 50 }),
}))

const clientAt = (issuer, options) => {
  const metadata = { issuer, token_endpoint: `${issuer}/token` }
  return new Client(Server.fromMetadata(issuer, metadata, { transport: 'loopback_http' }), { clientId: 'app', clientSecret: 'secret', ...options })
}

for (const [way, options] of Object.entries({ native: {}, fetch: { fetch: globalThis.fetch } })) {
  for (const [shared, wrapped] of [[true, false], [false, false], [true, true], [false, true]]) {
    const variant = `${shared ? 'a store' : 'one process'}${wrapped ? ', wrapped' : ''}`
    test(`two workers never use a refresh token concurrently: ${way}, ${variant}`, async () => {
      const other = await serve(async () => ({ access_token: 'there', token_type: 'Bearer', expires_in: 600 }))
      const { seen, answer: handleForm } = identityProvider(other)
      const issuer = await serve(handleForm)
      const [client, resourceClient] = [clientAt(issuer, options), clientAt(other, options)]
      const login = loginAt(issuer)
      const store = shared ? { store: new MemoryStore(), subject: 'ann' } : {}
      const first = client.source(login, store)
      if (shared) await first.logIn(login)
      const second = shared ? client.source(undefined, store) : first
      // A custom source names the grant whose tokens it returns.
      const wrapGrant = (grant) => ({ grant, token: () => grant.token(), renew: (refused) => grant.renew(refused), invalidate() {} })
      const exchange = (source) => {
        const signIn = wrapped ? wrapGrant(source) : source
        return resourceClient.source(undefined, { identityProvider: client, signIn }).token()
      }
      const exchanges = [exchange(first), exchange(second)]
      // An API refuses the access token while one of them presents the refresh token.
      await sleep(450)
      await second.renew(await second.token())
      assert.deepEqual((await Promise.all(exchanges)).map(({ accessToken }) => accessToken), ['there', 'there'])
      assert.equal(seen.assertions, 2)
      assert.ok(seen.spent.size >= 2)
      assert.deepEqual(seen.twice, [])
    })
  }
}

test('a caller that times out while waiting leaves no hold', { timeout: 30_000 }, async () => {
  const other = await serve(async () => ({ access_token: 'there', token_type: 'Bearer', expires_in: 600 }))
  const { seen, answer: handleForm } = identityProvider(other)
  const issuer = await serve(handleForm)
  const [client, resourceClient] = [issuer, other].map((at) => clientAt(at, { fetch: globalThis.fetch }))
  const login = loginAt(issuer)
  const signIn = client.source(login)
  const source = () => resourceClient.source(undefined, { identityProvider: client, signIn })
  const first = source().token()
  await assert.rejects(source().token({ timeoutMs: 350 }))
  await first
  // With a remaining hold, it would wait forever.
  await signIn.renew(await signIn.token())
  assert.deepEqual(seen.twice, [])
})

for (const shared of [true, false]) {
  test(`exchanges in quick succession renew the sign-in once: ${shared ? 'a store' : 'one process'}`, async () => {
    const other = await serve(async () => ({ access_token: 'there', token_type: 'Bearer', expires_in: 600 }))
    const { seen, answer: handleForm } = identityProvider(other, 1)
    const issuer = await serve(handleForm)
    const [client, resourceClient] = [clientAt(issuer), clientAt(other)]
    const login = loginAt(issuer)
    const signIn = shared ? client.source(undefined, { store: new MemoryStore(), subject: 'ann' }) : client.source(login)
    if (shared) await signIn.logIn(login)
    for (let count = 0; count < 8; count += 1) await resourceClient.source(undefined, { identityProvider: client, signIn }).token()
    assert.deepEqual([seen.assertions, seen.spent.size, seen.twice], [8, 1, []])
  })
}

test('an exchange of a killed worker blocks renewals no longer than its lease', { timeout: 30_000 }, async () => {
  const other = await serve(async () => ({ access_token: 'there', token_type: 'Bearer', expires_in: 600 }))
  const { seen, answer: handleForm } = identityProvider(other, 1)
  let [exchanging, allowResponse] = []
  const exchangeStarted = new Promise((resolve) => (exchanging = resolve))
  const responseAllowed = new Promise((resolve) => (allowResponse = resolve))
  // The exchange gets its response after all callers have left.
  const issuer = await serve(async (form) => {
    if (form.has('subject_token')) {
      exchanging()
      await responseAllowed
    }
    return handleForm(form)
  })
  const [client, resourceClient] = [issuer, other].map((at) => clientAt(at, { fetch: globalThis.fetch }))
  const [store, options] = [new MemoryStore(), { subject: 'ann', leaseMs: 500 }]
  let isKilled = false
  const method = (name) => async (...all) => {
    if (isKilled) throw new Error('killed')
    return store[name](...all)
  }
  const killableStore = { load: method('load'), save: method('save'), lease: method('lease'), remove: method('remove') }
  const localSource = client.source(undefined, { store: killableStore, ...options })
  await localSource.logIn(loginAt(issuer))
  const otherSource = client.source(undefined, { store, ...options })
  const exchange = resourceClient.source(undefined, { identityProvider: client, signIn: localSource }).token()
  await exchangeStarted
  const before = seen.spent.size
  const renewal = otherSource.renew(await otherSource.token())
  await sleep(1_000)
  assert.equal(seen.spent.size, before, 'the lease is extended')
  isKilled = true
  await renewal
  assert.equal(seen.spent.size, before + 1)
  allowResponse()
  await exchange
})

test('a ResourceConnection can be held like any other grant', async () => {
  const { generic } = await twins()
  const open = (page) => { fetch(page).catch(() => {}) }
  const connection = new ResourceConnection(`${generic.base}/api/echo`, { clientName: 'Notes', open, transport: 'loopback_http' })
  const tokens = await connection.token()
  const { resolve } = createRequire(import.meta.url)
  const { acquireHold } = createRequire(import.meta.url)(path.join(path.dirname(resolve('oauth-core')), 'hold.cjs'))
  const wrapped = { grant: connection }
  for (const source of [connection, wrapped]) {
    const held = await acquireHold(source, 60_000)
    assert.equal(held.tokens.refreshToken, (await connection.token()).refreshToken)
    const before = (await generic.counters()).refreshes
    const renewal = connection.renew(held.tokens)
    await sleep(300)
    assert.equal((await generic.counters()).refreshes, before)
    await held.release()
    assert.notEqual((await renewal).accessToken, tokens.accessToken)
    assert.equal((await generic.counters()).refreshes, before + 1)
  }
  await assert.rejects(acquireHold({ grant: {} }, 1), TypeError)
  assert.equal(await acquireHold(core.fixedToken('t'), 1), undefined)
})
