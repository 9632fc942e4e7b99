// Hostile servers and callbacks: each causes an error of the right class and code.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { followToCallback, core, listen, rejection, serverAt, twins } from './helper.mjs'

const { Client, DeniedError, Grants, LostError, MalformedError, MemoryStore, MisuseError, OAuthError, UntrustedError, discover, login } = core
const { generic: twin } = await twins()
const { clientId, clientSecret, redirectUris, issuer } = await twin.client()
const [redirectUri] = redirectUris
const server = await discover(issuer, { transport: 'loopback_http' })
const customFetch = { fetch: (...request) => fetch(...request) }
const kinds = { denied: DeniedError, malformed: MalformedError, untrusted: UntrustedError, lost: LostError, misuse: MisuseError }

function check(error, kind, code) {
  assert.ok(error instanceof kinds[kind], `${error}`)
  assert.ok(error instanceof OAuthError)
  assert.deepEqual([error.kind, error.code, error.name], [kind, code, kinds[kind].name])
}

/** A server that sends the same response to every request. */
function serverReplying(status, headers, body) {
  return listen((request, response) => {
    request.resume()
    response.writeHead(status, headers)
    response.end(body)
  })
}

test('each login has its own state, nonce and PKCE challenge', async () => {
  const client = new Client(server, { clientId, clientSecret })
  const seen = new Set()
  for (let login = 0; login < 2; login += 1) {
    const { url, flow } = client.authorize({ redirectUri, scope: 'openid' })
    assert.equal(url.searchParams.get('code_challenge_method'), 'S256')
    for (const name of ['state', 'nonce', 'code_challenge']) seen.add(url.searchParams.get(name))
    // The twin compares the verifier with the challenge.
    await client.redeem(flow, await followToCallback(url, redirectUri))
    const { form } = (await twin.log()).findLast(({ path }) => path === '/token')
    assert.ok('code_verifier' in Object.fromEntries(form))
  }
  assert.equal(seen.size, 6)
  assert.ok([...seen].every((value) => value.length === 43))
})

for (const [transport, options] of Object.entries({ native: {}, fetch: customFetch })) {
  const ownClient = new Client(server, { clientId, clientSecret, ...options })

  test(`the user is identified by the verified claims: ${transport}`, async () => {
    const { url, flow } = ownClient.authorize({ redirectUri, scope: 'openid read' })
    const tokens = await ownClient.redeem(flow, await followToCallback(url, redirectUri))
    const { iss, aud, sub } = tokens.claims
    assert.deepEqual([iss, aud], [tokens.issuer, tokens.clientId])
    assert.ok(sub)
    assert.ok(!JSON.stringify(tokens).includes(sub))
    // Only the tokens are stored; without the scope `openid` there is no user.
    assert.equal(core.Tokens.deserialize(tokens.serialize()).claims, undefined)
    const other = ownClient.authorize({ redirectUri, scope: 'read' })
    assert.equal((await ownClient.redeem(other.flow, await followToCallback(other.url, redirectUri))).claims, undefined)
  })

  test(`UserInfo about another user is rejected: ${transport}`, async () => {
    const { url, flow } = ownClient.authorize({ redirectUri, scope: 'openid profile' })
    const tokens = await ownClient.redeem(flow, await followToCallback(url, redirectUri))
    const { sub } = tokens.claims
    const userinfo = await ownClient.userinfo({ tokens, subject: sub })
    assert.deepEqual([userinfo.subject, userinfo.claims.name, userinfo.name], [sub, 'Alice Liddell', 'Alice Liddell'])
    // Personal data is not logged.
    assert.match(inspect(userinfo), /'name'/)
    assert.doesNotMatch(inspect(userinfo), /Alice/)
    check(await rejection(ownClient.userinfo({ tokens, subject: `${sub}1` })), 'untrusted', 'userinfo.subject')
  })

  for (const [flaw, kind, code] of [
    ['missing', 'malformed', 'id_token.missing'],
    ['wrong_issuer', 'untrusted', 'jwt.issuer'],
    ['wrong_audience', 'untrusted', 'jwt.audience'],
    ['wrong_nonce', 'untrusted', 'id_token.nonce'],
    ['missing_subject', 'untrusted', 'jwt.missing_claim'],
    ['wrong_access_token_hash', 'untrusted', 'id_token.at_hash'],
    ['broken_signature', 'untrusted', 'jws.bad_signature'],
    ['unsigned', 'untrusted', 'jws.alg_not_allowed'],
  ]) {
    test(`an ID token with a flaw is rejected: ${flaw}, ${transport}`, async () => {
      const { url, flow } = ownClient.authorize({ redirectUri, scope: 'openid' })
      const callback = await followToCallback(url, redirectUri)
      await twin.fault('id_token', { flaw })
      check(await rejection(ownClient.redeem(flow, callback)), kind, code)
    })
  }
}

for (const [transport, options] of Object.entries({ native: {}, fetch: customFetch })) {
  const client = new Client(server, { clientId, clientSecret, ...options })
  const at = (base) => new Client(serverAt(base), { clientId, clientSecret, ...options })

  test(`a callback with the state of another flow is rejected, and the flow goes on: ${transport}`, async () => {
    const { url, flow } = client.authorize({ redirectUri, scope: 'read' })
    await twin.fault('foreign_state_in_callback')
    const callback = await followToCallback(url, redirectUri)
    assert.equal(flow.recognizes(callback), false)
    const requests = await twin.tokenRequests(async () => {
      check(await rejection(client.redeem(flow, callback)), 'untrusted', 'callback.state')
      check(await rejection(client.redeem(flow, `${redirectUri}?error=access_denied`)), 'untrusted', 'callback.state')
    })
    assert.equal(requests, 0)
    // Callbacks can be forged: the flow remains open for the genuine one.
    const callbackUrl = await followToCallback(url, redirectUri)
    assert.equal(flow.recognizes(callbackUrl), true)
    assert.ok((await client.redeem(flow, callbackUrl)).accessToken)
  })

  test(`a flow can be redeemed only once: ${transport}`, async () => {
    const { url, flow } = client.authorize({ redirectUri, scope: 'read' })
    const callback = await followToCallback(url, redirectUri)
    const requests = await twin.tokenRequests(async () => {
      const both = await Promise.allSettled([client.redeem(flow, callback), client.redeem(flow, callback)])
      assert.deepEqual(both.map(({ status }) => status).sort(), ['fulfilled', 'rejected'])
      check(await rejection(client.redeem(flow, callback)), 'misuse', 'misuse.already_finished')
    })
    assert.equal(requests, 1)
    assert.equal(flow.recognizes(callback), false)
    assert.throws(() => flow.serialize(), { code: 'misuse.already_finished' })
    assert.equal(JSON.parse(JSON.stringify(flow)).redirectUri, redirectUri)
  })

  test(`a callback with another issuer is rejected: ${transport}`, async () => {
    const { url, flow } = client.authorize({ redirectUri, scope: 'read' })
    await twin.fault('wrong_issuer_in_callback')
    const callback = await followToCallback(url, redirectUri)
    const requests = await twin.tokenRequests(async () => {
      check(await rejection(client.redeem(flow, callback)), 'untrusted', 'callback.issuer')
    })
    assert.equal(requests, 0)
  })

  for (const status of [301, 302, 303, 307, 308]) {
    test(`a ${status} from the token endpoint is not followed: ${transport}`, async () => {
      let seen = 0
      const second = await listen((request, response) => {
        seen += 1
        response.end()
      })
      const ownClient = at(await serverReplying(status, { location: `${second}/token` }, ''))
      check(await rejection(ownClient.clientCredentials().token()), 'malformed', 'reply.redirect')
      assert.equal(seen, 0)
    })
  }

  test(`reading stops when a response exceeds the size limit: ${transport}`, async () => {
    const chunk = Buffer.alloc(1 << 16, 'x')
    let sent = 0
    const endless = await listen((request, response) => {
      request.resume()
      response.writeHead(200, { 'content-type': 'application/json' })
      const more = () => {
        while (sent < 50 << 20) {
          sent += chunk.length
          if (!response.write(chunk)) return response.once('drain', more)
        }
        response.end()
      }
      more()
    })
    check(await rejection(at(endless).clientCredentials().token()), 'malformed', 'reply.too_large')
    assert.ok(sent < 16 << 20, `${sent} bytes were sent`)
    const announced = await serverReplying(200, { 'content-type': 'application/json', 'content-length': 50 << 20 }, '{')
    check(await rejection(at(announced).clientCredentials().token()), 'malformed', 'reply.too_large')
  })

  test(`a refused connection and a lost response are reported: ${transport}`, async () => {
    const closedServer = createServer().listen(0, '127.0.0.1')
    await once(closedServer, 'listening')
    const { port } = closedServer.address()
    closedServer.close()
    await once(closedServer, 'close')
    const connectionError = await rejection(at(`http://127.0.0.1:${port}`).clientCredentials().token())
    check(connectionError, 'lost', 'lost.connect')
    assert.equal(connectionError.url, `http://127.0.0.1:${port}/token`)
    assert.ok(connectionError.message.startsWith(`token: POST http://127.0.0.1:${port}/token: `), connectionError.message)
    assert.equal(connectionError.advice, 'retry')
    assert.ok(connectionError.cause instanceof Error)
    assert.ok(!String(connectionError.cause.message).includes('/token'))
    await twin.fault('lost_reply')
    check(await rejection(client.clientCredentials().token()), 'lost', 'lost.closed')
  })

  const faults = {
    html: 'reply.content_type',
    truncated_json: 'reply.json',
    duplicate_member: 'reply.duplicate_member',
    nested_json: 'reply.nesting',
    gzip_bomb: 'reply.too_large',
  }
  for (const [fault, code] of Object.entries(faults)) {
    test(`a faulty token response is rejected: ${fault}, ${transport}`, async () => {
      await twin.fault(fault)
      check(await rejection(client.clientCredentials().token()), 'malformed', code)
    })
  }

  test(`error responses are reported without secrets and control characters: ${transport}`, async () => {
    const body = JSON.stringify({ error: 'invalid_scope', error_description: `no \u001b[31m ${clientSecret}`, hint: 'h' })
    const ownClient = at(await serverReplying(400, { 'content-type': 'application/json' }, body))
    const error = await rejection(ownClient.clientCredentials().token())
    check(error, 'denied', 'denied.invalid_scope')
    assert.deepEqual([error.status, error.error, error.endpoint, error.advice], [400, 'invalid_scope', 'token', 'give_up'])
    assert.equal(error.extra.hint, 'h')
    assert.ok(!error.errorDescription.includes(clientSecret) && !error.errorDescription.includes('\u001b'))
  })

  test(`metadata of another issuer is rejected: ${transport}`, async () => {
    const metadata = JSON.stringify({ issuer: 'https://evil.example', token_endpoint: 'https://evil.example/t' })
    const base = await serverReplying(200, { 'content-type': 'application/json' }, metadata)
    const found = discover(base, { transport: 'loopback_http', ...options })
    check(await rejection(found), 'untrusted', 'metadata.issuer')
  })
}

test('plain HTTP is allowed only for loopback, and only if enabled', async () => {
  check(await rejection(discover('http://127.0.0.1:9')), 'misuse', 'issuer.not_https')
  for (const host of ['as.example', '10.0.0.1', 'localhost.as.example']) {
    check(await rejection(discover(`http://${host}`, { transport: 'loopback_http' })), 'misuse', 'issuer.not_https')
  }
  await assert.rejects(discover('https://as.example', { transport: 'http' }), TypeError)
})

test('a callback in another context or for another user is rejected', async () => {
  const client = new Client(server, { clientId, clientSecret })
  const begun = { context: 'tool-a', user: 'user-1' }
  for (const [arrived, code] of [
    [{ context: 'tool-b', user: 'user-1' }, 'callback.context'],
    [{ context: 'tool-a', user: 'user-2' }, 'callback.user'],
    [{ context: 'tool-a' }, 'callback.user'],
    [{}, 'callback.context'],
  ]) {
    const { url, flow } = client.authorize({ redirectUri, ...begun })
    assert.doesNotMatch(`${url}${inspect(flow)}`, /tool-a|user-1/)
    const restored = core.PendingAuthorization.deserialize(flow.serialize())
    const callback = await followToCallback(url, redirectUri)
    const before = (await twin.counters()).token_requests
    check(await rejection(client.redeem(restored, callback, arrived)), 'untrusted', code)
    assert.equal((await twin.counters()).token_requests, before)
    // In the original context the same callback is accepted.
    assert.ok((await client.redeem(flow, callback, begun)).accessToken)
  }
})

test('a rejected S256 challenge is not retried without PKCE', async () => {
  // A PKCE downgrade: nothing is tried without the challenge, or with a plain one.
  const { publicClientId } = await twin.client()
  const client = new Client(server, { clientId: publicClientId })
  const authorizeQueries = async () => (await twin.log()).filter(({ path }) => path === '/authorize').map(({ query }) => query)
  const open = async (url) => { await (await fetch(url)).text() }
  const before = (await authorizeQueries()).length
  await twin.fault('refused_s256')
  const requests = await twin.tokenRequests(async () => {
    check(await rejection(login(client, { scope: 'read', open, timeoutMs: 30_000 })), 'denied', 'denied.invalid_request')
  })
  assert.equal(requests, 0)
  const methods = (await authorizeQueries()).slice(before).map((query) => Object.fromEntries(query).code_challenge_method)
  assert.deepEqual(methods, ['S256'])
  // The server would have accepted the next one.
  assert.ok((await login(client, { scope: 'read', open, timeoutMs: 30_000 })).accessToken)
})

/** Detects tokens of another owner in a cache: one client, while tokens are renewed. */
async function twoPeopleAtOnce(client) {
  const grants = new Grants(client, new MemoryStore())
  const owners = ['alice', 'bob'].flatMap((name) => ['read', 'read write'].map((scope) => ({ name, scope })))
  for (const { name, scope } of owners) {
    await twin.addPerson(name)
    const { url, flow } = client.authorize({ redirectUri, scope: `openid offline_access ${scope}`, loginHint: name })
    await grants.logIn(name, await client.redeem(flow, await followToCallback(url, redirectUri)), { scope })
  }
  const seen = new Map()
  await Promise.all(Array.from({ length: 64 }, async (_, at) => {
    const { name, scope } = owners[at % 4]
    const source = grants.get(name, { scope })
    let tokens = await source.token()
    if (at % 8 >= 4) tokens = await source.renew(tokens)
    const reply = await source.api({ origins: [twin.base] }).fetch(`${twin.base}/api/echo`)
    assert.equal((await reply.json()).sub, name)
    assert.equal(tokens.scope.includes('write'), scope.includes('write'))
    seen.set(tokens.accessToken, (seen.get(tokens.accessToken) ?? new Set()).add(`${name} ${scope}`))
  }))
  assert.ok(seen.size >= owners.length)
  assert.ok([...seen.values()].every(({ size }) => size === 1))
}

test('concurrent users with different scopes each get their own tokens', async () => {
  for (const options of [{}, customFetch]) await twoPeopleAtOnce(new Client(server, { clientId, clientSecret, ...options }))
})
