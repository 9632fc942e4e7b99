// Two workers with one sign-in, whose refresh token is what an identity assertion is asked for with.
import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { after, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { core } from './helper.mjs'

const { Client, MemoryStore, Server, Tokens } = core

function jwt(typ, claims) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url')
  return `${part({ alg: 'ES256', typ })}.${part(claims)}.c2ln`
}

async function serve(answer) {
  const server = createServer(async (request, response) => {
    const chunks = []
    for await (const chunk of request) chunks.push(chunk)
    const said = await answer(new URLSearchParams(Buffer.concat(chunks).toString()))
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(said))
  })
  await new Promise((ready) => server.listen(0, '127.0.0.1', ready))
  after(() => server.close())
  return `http://127.0.0.1:${server.address().port}`
}

/** It rotates refresh tokens, issues no second ID token, and would revoke a sign-in whose refresh token is used twice. */
function identityProvider(audience) {
  const seen = { inUse: new Set(), spent: new Set(), twice: [], assertions: 0 }
  const answer = async (form) => {
    const refreshed = form.get('refresh_token')
    const token = refreshed ?? form.get('subject_token')
    if (seen.spent.has(token) || seen.inUse.has(token)) seen.twice.push(token)
    seen.inUse.add(token)
    await sleep(300)
    seen.inUse.delete(token)
    if (refreshed === null) {
      seen.assertions += 1
      const assertion = jwt('oauth-id-jag+jwt', { aud: audience, exp: 4_000_000_000 })
      return { access_token: assertion, token_type: 'N_A', expires_in: 300, issued_token_type: 'urn:ietf:params:oauth:token-type:id-jag' }
    }
    seen.spent.add(token)
    return { access_token: `a${seen.spent.size}`, token_type: 'Bearer', expires_in: 600, refresh_token: `r${seen.spent.size}` }
  }
  return { seen, answer }
}

/** The login was received then; its ID token has expired since. */
const received = Math.floor(Date.now() / 1000) - 100

const clientAt = (issuer, options) => {
  const metadata = { issuer, token_endpoint: `${issuer}/token` }
  return new Client(Server.fromMetadata(issuer, metadata, { transport: 'loopback_http' }), { clientId: 'app', clientSecret: 'secret', ...options })
}

for (const [way, options] of Object.entries({ native: {}, fetch: { fetch: globalThis.fetch } })) {
  for (const shared of [true, false]) {
    test(`two workers never use one refresh token at a time: ${way}, ${shared ? 'a store' : 'one process'}`, async () => {
      const other = await serve(async () => ({ access_token: 'there', token_type: 'Bearer', expires_in: 600 }))
      const { seen, answer } = identityProvider(other)
      const issuer = await serve(answer)
      const [us, there] = [clientAt(issuer, options), clientAt(other, options)]
      const login = Tokens.deserialize(JSON.stringify({
        version: 1, issuer, client_id: 'app', received_at: received, access_token: 'a0', expires_in: 600,
        scope: 'openid', refresh_token: 'r0', refresh_scope: null, id_token: jwt('JWT', { aud: 'app', exp: received + 50 }),
      }))
      const store = shared ? { store: new MemoryStore(), subject: 'ann' } : {}
      const first = us.source(login, store)
      if (shared) await first.logIn(login)
      const second = shared ? us.source(undefined, store) : first
      const work = (signIn) => there.source(undefined, { identityProvider: us, signIn }).token()
      const working = [work(first), work(second)]
      // An API refuses the access token while one of them presents the refresh token.
      await sleep(450)
      await second.renew(await second.token())
      assert.deepEqual((await Promise.all(working)).map(({ accessToken }) => accessToken), ['there', 'there'])
      assert.equal(seen.assertions, 2)
      assert.ok(seen.spent.size >= 2)
      assert.deepEqual(seen.twice, [])
    })
  }
}

test('a caller that gives up while it waits leaves no hold behind', { timeout: 30_000 }, async () => {
  const other = await serve(async () => ({ access_token: 'there', token_type: 'Bearer', expires_in: 600 }))
  const { seen, answer } = identityProvider(other)
  const issuer = await serve(answer)
  const [us, there] = [issuer, other].map((at) => clientAt(at, { fetch: globalThis.fetch }))
  const login = Tokens.deserialize(JSON.stringify({
    version: 1, issuer, client_id: 'app', received_at: received, access_token: 'a0', expires_in: 600,
    scope: 'openid', refresh_token: 'r0', refresh_scope: null, id_token: jwt('JWT', { aud: 'app', exp: received + 50 }),
  }))
  const signIn = us.source(login)
  const source = () => there.source(undefined, { identityProvider: us, signIn })
  const first = source().token()
  await assert.rejects(source().token({ timeoutMs: 350 }))
  await first
  // It would wait for ever.
  await signIn.renew(await signIn.token())
  assert.deepEqual(seen.twice, [])
})
