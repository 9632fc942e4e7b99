// Sources and keepers that get tokens with a sign-in at an identity provider.
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { test } from 'node:test'
import { followToCallback, core, rejection, root, twins } from './helper.mjs'

const { Client, MemoryStore, Tokens, discover, keep, run } = core
const redirectUri = 'https://app.example/callback'
/** {"alg":"RS256"}, {"exp":1,"aud":"twin-client"} and a signature that is never verified. */
const ENDED = 'eyJhbGciOiJSUzI1NiJ9.eyJleHAiOjEsImF1ZCI6InR3aW4tY2xpZW50In0.c2ln'

/** A client, over the native transport and over `fetch`. */
const ways = { native: {}, fetch: { fetch: globalThis.fetch } }
const { generic: twin, 'identity-provider': idp } = await twins()

async function createClient(twin, options) {
  const { clientId, clientSecret, issuer } = await twin.client()
  const server = await discover(issuer, { transport: 'loopback_http' })
  return new Client(server, { clientId, clientSecret, ...options })
}

/** The tokens of a user who signs in to this client. */
async function signedIn(client) {
  const { url, flow } = client.authorize({ redirectUri, scope: 'openid read' })
  return client.redeem(flow, await followToCallback(url, redirectUri))
}

/** The numbers of token requests at the two servers. */
const requests = async () => [(await idp.counters()).token_requests, (await twin.counters()).token_requests]
const since = async (before) => (await requests()).map((count, index) => count - before[index])

for (const [way, options] of Object.entries(ways)) {
  const stage = async () => {
    const [client, resourceClient] = [await createClient(idp, options), await createClient(twin, options)]
    await idp.vouchTo(twin.base, (await twin.client()).clientId)
    await twin.trustIdentityProvider(idp.base)
    const login = await signedIn(client)
    const source = (signIn, more) => resourceClient.source(undefined, { identityProvider: client, signIn, scope: 'read', ...more })
    return { us: client, there: resourceClient, login, source }
  }

  test(`a source gets each token with a new identity assertion: ${way}`, async () => {
    const { us: ownClient, there, login, source: of } = await stage()
    const source = of(ownClient.source(login))
    const before = await requests()
    const all = await Promise.all(Array.from({ length: 20 }, () => source.token()))
    assert.equal(new Set(all.map(({ accessToken }) => accessToken)).size, 1)
    assert.deepEqual(await since(before), [1, 1])
    const [tokens] = all
    assert.deepEqual([tokens.scope, tokens.refreshToken], [['read'], undefined])
    // Each renewal is an exchange, and an assertion of its own.
    const renewed = await source.renew(tokens)
    assert.notEqual(renewed.accessToken, tokens.accessToken)
    assert.deepEqual(await since(before), [2, 2])
    assert.equal((await there.introspect({ token: renewed.accessToken })).active, true)
  })

  test(`workers that share a store make one exchange per user: ${way}`, async () => {
    const { there, login, source } = await stage()
    const store = new MemoryStore()
    const first = source(async () => login.idToken, { store, subject: 'ann' })
    const { accessToken } = await first.token()
    const nobody = () => assert.fail('the tokens are fresh')
    assert.equal((await source(nobody, { store, subject: 'ann' }).token()).accessToken, accessToken)
    // Another person's are others, and so are those of a login at that server.
    assert.notEqual(source(nobody, { store, subject: 'bob' }).key, first.key)
    assert.notEqual(there.source(undefined, { store, subject: 'ann', scope: 'read' }).key, first.key)
  })

  test(`an expired ID token is renewed by its source before the exchange: ${way}`, async () => {
    const { us: ownClient, login, source } = await stage()
    let renewed = 0
    const signIn = {
      token: async () => Tokens.deserialize(login.serialize().replace(login.idToken, ENDED).replace(/"received_at":\d+/, '"received_at":0')),
      renew: async (tokens) => {
        assert.equal(tokens.idToken, ENDED)
        renewed += 1
        return login
      },
      invalidate() {},
    }
    assert.ok((await source(signIn).token()).accessToken)
    assert.equal(renewed, 1)
    const { code, advice } = await rejection(source(ownClient.clientCredentials()).token())
    assert.deepEqual([code, advice], ['identity_assertion.no_id_token', 'reauthorize'])
  })

  test(`the refresh token is exchanged if a renewal returns no ID token: ${way}`, async () => {
    const { us: ownClient, source } = await stage()
    const { url, flow } = ownClient.authorize({ redirectUri, scope: 'openid offline_access' })
    const login = await ownClient.redeem(flow, await followToCallback(url, redirectUri))
    const ended = async () => Tokens.deserialize(login.serialize().replace(login.idToken, ENDED).replace(/"received_at":\d+/, '"received_at":0'))
    assert.ok((await source({ token: ended, renew: ended, invalidate() {} }).token()).accessToken)
    const { form } = (await idp.log()).findLast(({ path }) => path === '/token')
    const { subject_token_type: kind } = Object.fromEntries(form)
    assert.equal(kind, 'urn:ietf:params:oauth:token-type:refresh_token')
  })

  test(`the error of a sign-in is thrown and ends nothing: ${way}`, async () => {
    const { us: ownClient, login, source: of } = await stage()
    let failure = new RangeError('gone')
    const source = of(() => {
      if (failure === undefined) return login.idToken
      throw failure
    })
    assert.equal(await rejection(source.token()), failure)
    failure = undefined
    const tokens = await source.token()
    const before = await requests()
    const ended = of(() => ENDED)
    assert.equal((await rejection(ended.token())).code, 'jwt.expired')
    assert.deepEqual(await since(before), [0, 0])
    assert.ok(tokens.accessToken)
    // A refusal of the identity provider is reported to the caller.
    await idp.revoke()
    const endedSource = ownClient.source(login)
    endedSource.invalidate(login)
    assert.equal((await rejection(of(endedSource).token())).advice, 'reauthorize')
  })

  test(`onNotice receives the error of the sign-in when a renewal fails: ${way}`, async () => {
    const { login, source: of } = await stage()
    const failure = new RangeError('gone')
    const events = []
    const source = of(() => { throw failure }, { onNotice: (what, { error }) => events.push([what, error]) })
    assert.equal(await rejection(source.token()), failure)
    assert.deepEqual(events, [['failed', failure]])
    const { us: ownClient } = await stage()
    await idp.revoke()
    const endedSource = ownClient.source(login)
    endedSource.invalidate(login)
    events.length = 0
    const denied = await rejection(of(endedSource, { onNotice: (what, { error }) => events.push([what, error.code]) }).token())
    assert.deepEqual(events, [[events[0][0], denied.code]])
    assert.ok(denied.code.startsWith('denied.'))
  })

  test(`a keeper with a sign-in is driven with keep(), run() and step by step: ${way}`, async () => {
    const { us: ownClient, there, login } = await stage()
    const sourceOptions = { identityProvider: ownClient, scope: 'read' }
    const signInKeeper = there.keeper(undefined, { ...sourceOptions, signIn: ownClient.source(login), subject: 'ann' })
    assert.deepEqual((await keep(signInKeeper, { store: new MemoryStore() })).scope, ['read'])
    const keeper = there.keeper(undefined, { ...sourceOptions, signIn: () => login.idToken, subject: 'ann' })
    keeper.ask()
    keeper.begin()
    keeper.loaded(undefined)
    keeper.leased(undefined)
    const { kind, exchange } = keeper.loaded(undefined)
    assert.equal(kind, 'run')
    // The first manual step sends the token of the function to the identity provider.
    const step = exchange.begin()
    assert.equal(step.url, `${idp.base}/token`)
    assert.match(new TextDecoder().decode(step.body), /subject_token_type=[^&]*id_token/)
    const waits = there.keeper(undefined, { ...sourceOptions, signIn: ownClient.source(login), shared: false })
    const { renewal } = waits.askAlone()
    assert.throws(() => renewal.begin(), /cannot await a token source/)
    const alone = there.keeper(undefined, { ...sourceOptions, signIn: ownClient.source(login), shared: false })
    assert.deepEqual((await run(alone.askAlone().renewal)).scope, ['read'])
  })
}

test('an incomplete sign-in is rejected', async () => {
  const [client, resourceClient] = [await createClient(idp), await createClient(twin)]
  const tokens = Tokens.bearer('x')
  const signIn = () => 'x'
  for (const value of [{ signIn }, { identityProvider: client }, { subjectTokenType: 'saml2' }, { identityProvider: {}, signIn }, { identityProvider: client, signIn: 'x' }]) {
    assert.throws(() => resourceClient.source(undefined, value), TypeError)
    assert.throws(() => resourceClient.keeper(undefined, value), TypeError)
  }
  assert.throws(() => resourceClient.source(tokens, { identityProvider: client, signIn }), TypeError)
  const wrong = { identityProvider: client, signIn, subjectTokenType: 'access_token' }
  assert.throws(() => resourceClient.source(undefined, wrong), { code: 'identity_assertion.subject_token_type' })
})

/** The same ID token, but expired. Its signature was verified when it was received. */
function expiredIdToken(idToken) {
  const [header, payload, signature] = idToken.split('.')
  const claims = { ...JSON.parse(Buffer.from(payload, 'base64url')), exp: Math.floor(Date.now() / 1000) - 1 }
  return [header, Buffer.from(JSON.stringify(claims)).toString('base64url'), signature].join('.')
}

test('idjag-renew-order: of the valid credentials, the most recent is used first', async () => {
  const { vectors } = JSON.parse(await readFile(path.join(root, 'tests/vectors/vectors.json'), 'utf8'))
  const { input: { now, cases }, expected } = vectors.find(({ id }) => id === 'idjag-renew-order')
  const [client, resourceClient] = [await createClient(idp), await createClient(twin)]
  await idp.vouchTo(twin.base, (await twin.client()).clientId)
  await twin.trustIdentityProvider(idp.base)
  const signed = await signedIn(client)
  const names = { refresh_token: 'refresh', 'urn:ietf:params:oauth:grant-type:token-exchange': 'exchange' }
  const tokenRequestNames = async (server) => (await server.log()).filter((entry) => entry.path === '/token').map(({ form }) => names[Object.fromEntries(form).grant_type] ?? 'redeem')
  const log = async () => [await tokenRequestNames(idp), await tokenRequestNames(twin)]
  const seen = []
  for (const { id_jag_expires: assertionExpires, id_token_expires: idTokenExpires = 0, refresh_token: refreshes } of cases) {
    const stored = JSON.parse(signed.serialize())
    if (idTokenExpires < now) Object.assign(stored, { id_token: expiredIdToken(signed.idToken), received_at: stored.received_at - 60 })
    if (!refreshes) delete stored.refresh_token
    const signIn = client.source(Tokens.deserialize(JSON.stringify(stored)))
    const source = resourceClient.source(undefined, { identityProvider: client, signIn, scope: 'read' })
    const { assertion } = await client.requestIdentityAssertion({ subjectToken: signed.idToken, issuer: twin.base, scope: 'read' })
    const before = await log()
    // A source takes a new assertion each time, as servers take each once: the caller has this one.
    const pendingTokens = assertionExpires > now ? resourceClient.redeemIdentityAssertion({ assertion }) : source.token()
    const last = await pendingTokens.then(() => [], ({ advice }) => [advice === 'reauthorize' ? 'login_required' : advice])
    const steps = (await log()).flatMap((all, index) => all.slice(before[index].length))
    seen.push([...steps, ...last])
  }
  assert.deepEqual(seen, expected.steps)
})
