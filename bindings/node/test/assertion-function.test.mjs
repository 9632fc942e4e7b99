// Workload tokens from a function: over the native transport, over fetch, and step by step.
import assert from 'node:assert/strict'
import { createPrivateKey, randomUUID, sign } from 'node:crypto'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { core, listen, oidcProvider, rejection, serverAt } from './helper.mjs'

const { Client, LostError, Server, assertionFunction, discover } = core
const issuer = 'https://as.example'

const encodeJson = (value) => Buffer.from(JSON.stringify(value)).toString('base64url')
const unsigned = (claims) => `${encodeJson({ alg: 'ES256' })}.${encodeJson({ exp: 4_000_000_000, ...claims })}.c2ln`

const provider = await oidcProvider()
const server = await discover(provider.issuer, { transport: 'loopback_http' })
const key = createPrivateKey(provider.clients['key-ES256'].private_key)

/** A token for this server, as a workload's platform would sign it. */
function signToken() {
  const now = Math.floor(Date.now() / 1000)
  const claims = { iss: 'key-ES256', sub: 'key-ES256', aud: provider.issuer, jti: randomUUID(), iat: now, exp: now + 60 }
  const input = `${encodeJson({ alg: 'ES256' })}.${encodeJson(claims)}`
  return `${input}.${sign('sha256', Buffer.from(input), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`
}

/** A server that sends these responses in order, and records the assertions. */
async function endpoint(...responses) {
  const shown = []
  const base = await listen(async (request, reply) => {
    let body = ''
    for await (const chunk of request) body += chunk
    shown.push(new URLSearchParams(body).get('client_assertion'))
    const [status, responseBody] = responses[shown.length - 1] ?? responses.at(-1)
    reply.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(responseBody))
  })
  return { base, shown }
}

const validResponse = [200, { access_token: 'a', token_type: 'Bearer', expires_in: 60 }]
const refused = [401, { error: 'invalid_client' }]

for (const [transport, more] of Object.entries({ native: {}, fetch: { fetch } })) {
  for (const [kind, give] of Object.entries({ text: signToken, promise: async () => signToken() })) {
    test(`a function provides the workload token, as a ${kind}: ${transport}`, async () => {
      let calls = 0
      const clientAuth = assertionFunction(() => (calls += 1, give()))
      const client = new Client(server, { clientId: 'key-ES256', clientAuth, ...more })
      const { accessToken: token } = await client.clientCredentials({ scope: 'read' }).token()
      assert.equal((await client.introspect({ token })).clientId, 'key-ES256')
      // Read again for each request.
      assert.equal(calls, 2)
    })
  }

  test(`the function receives the audience and the maximum expiration time: ${transport}`, async () => {
    const { base, shown } = await endpoint(validResponse)
    const received = []
    const createToken = async (request) => {
      received.push(request)
      return unsigned({ aud: request.audience })
    }
    for (const audience of [undefined, 'api://x']) {
      const clientAuth = assertionFunction(createToken, { audience })
      const client = new Client(serverAt(base), { clientId: 'me', clientAuth, ...more })
      await client.clientCredentials().token()
    }
    assert.deepEqual(received.map(({ audience }) => audience), [base, 'api://x'])
    assert.deepEqual(shown, received.map(({ audience: aud }) => unsigned({ aud })))
    for (const { expiresAt } of received) {
      const remaining = expiresAt - Date.now()
      assert(remaining > 55_000 && remaining <= 60_000, `${remaining}`)
    }
  })

  test(`a refused request is retried once with a replaced token: ${transport}`, async () => {
    const { base, shown } = await endpoint(refused, validResponse)
    const tokens = ['a', 'b'].map((sub) => unsigned({ aud: base, sub }))
    const queuedTokens = [...tokens]
    const clientAuth = assertionFunction(async () => queuedTokens.shift())
    const client = new Client(serverAt(base), { clientId: 'me', clientAuth, ...more })
    assert.equal((await client.clientCredentials().token()).accessToken, 'a')
    assert.deepEqual(shown, tokens)
  })

  test(`a refused request is not retried with the same token: ${transport}`, async () => {
    const { base, shown } = await endpoint(refused)
    const clientAuth = assertionFunction(() => unsigned({ aud: base, sub: 'a' }))
    const client = new Client(serverAt(base), { clientId: 'me', clientAuth, ...more })
    assert.equal((await rejection(client.clientCredentials().token())).code, 'denied.invalid_client')
    assert.equal(shown.length, 1)
  })

  test(`nothing is sent if the function throws: ${transport}`, async () => {
    const { base, shown } = await endpoint(validResponse)
    const failure = new RangeError('no token today, s3cret')
    let fails = true
    const clientAuth = assertionFunction(async () => {
      if (fails) throw failure
      return unsigned({ aud: base, sub: 'a' })
    })
    const client = new Client(serverAt(base), { clientId: 'me', clientAuth, ...more })
    const error = await rejection(client.password({ username: 'u', password: 'p' }))
    assert(error instanceof LostError)
    assert.deepEqual([error.code, error.cause], ['lost.unsent', failure])
    assert.ok(!error.message.includes('s3cret'))
    assert.deepEqual(shown, [])
    fails = false
    await client.password({ username: 'u', password: 'p' })
    assert.equal(shown.length, 1)
  })

  test(`a non-string, or a token for another audience, is not sent: ${transport}`, async () => {
    const { base, shown } = await endpoint(validResponse)
    const client = (give) => new Client(serverAt(base), { clientId: 'me', clientAuth: assertionFunction(give), ...more })
    const requestError = (give) => rejection(client(give).password({ username: 'u', password: 'p' }))
    const none = await requestError(() => undefined)
    assert.equal(none.code, 'lost.unsent')
    assert(none.cause instanceof TypeError)
    assert.equal((await requestError(() => unsigned({ aud: 'https://other.example' }))).code, 'client_auth.assertion_audience')
    assert.deepEqual(shown, [])
  })

  test(`an abort cancels a call whose function never settles: ${transport}`, async () => {
    const { base } = await endpoint(validResponse)
    const stop = new AbortController()
    const clientAuth = assertionFunction(() => {
      stop.abort(new Error('enough'))
      return new Promise(() => {})
    })
    const client = new Client(serverAt(base), { clientId: 'me', clientAuth, ...more })
    const call = client.password({ username: 'u', password: 'p' }, { signal: stop.signal })
    assert.equal((await rejection(call)).message, 'enough')
  })
}

test('a step by step exchange takes the token of a function, but no promise', () => {
  const server = Server.fromMetadata(issuer, { issuer, token_endpoint: `${issuer}/token` })
  const exchange = (give, options) =>
    new Client(server, { clientId: 'me', clientAuth: assertionFunction(give, options) }).exchange.clientCredentials()
  const token = unsigned({ aud: 'api://x', sub: 'a' })
  const step = exchange(() => token, { audience: 'api://x', clientId: 'sent' }).begin()
  const form = new URLSearchParams(Buffer.from(step.body).toString())
  assert.deepEqual([form.get('client_assertion'), form.get('client_id')], [token, 'me'])
  const now = 1_700_000_000
  const moment = () => ({ now, seed: new Uint8Array(32) })
  const received = []
  const clientAuth = assertionFunction((request) => (received.push(request), unsigned({ aud: request.audience })))
  new Client(server, { clientId: 'me', clientAuth }).exchange.clientCredentials({}, { moment }).begin()
  assert.deepEqual(received, [{ audience: issuer, expiresAt: new Date((now + 60) * 1000) }])
  assert.throws(() => exchange(async () => token).begin(), /returned a promise/)
  const failure = new Error('none')
  assert.throws(() => exchange(() => { throw failure }).begin(), (error) => error.code === 'lost.unsent' && error.cause === failure)
  assert.throws(() => assertionFunction('token'), TypeError)
  const auth = assertionFunction(() => token)
  assert.equal(auth.method, 'private_key_jwt')
  assert.ok(!inspect(auth, { depth: 5, showHidden: true }).includes(token))
})
