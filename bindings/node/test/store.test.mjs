// One grant, shared through a store: what one worker has fetched, the others read.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { followToCallback, core, rejection, twins } from './helper.mjs'
import { MemoryStore, expireStoredTokens } from './memory.mjs'

const { Client, DeniedError, LostError, MisuseError, Tokens, UntrustedError, discover } = core
const { generic: twin } = await twins()
const { clientId, clientSecret, redirectUris, issuer } = await twin.client()
const server = await discover(issuer, { transport: 'loopback_http' })
const client = new Client(server, { clientId, clientSecret })

async function signIn() {
  const [redirectUri] = redirectUris
  const { url, flow } = client.authorize({ redirectUri, scope: 'read offline_access' })
  return client.redeem(flow, await followToCallback(url, redirectUri))
}

/** An old login: the stored tokens have expired. */
async function longAgo(store, subject, tokens) {
  const source = client.source(undefined, { store, subject })
  await source.logIn(tokens ?? (await signIn()))
  await expireStoredTokens(store, source.key)
}

test('eight workers with fifty callers each use the refresh token once', async () => {
  const store = new MemoryStore()
  await longAgo(store, 'ann')
  const before = await twin.counters()
  const workers = Array.from({ length: 8 }, () => client.source(undefined, { store, subject: 'ann' }))
  const all = await Promise.all(workers.flatMap((source) => Array.from({ length: 50 }, () => source.token())))
  const after = await twin.counters()
  assert.equal(after.token_requests - before.token_requests, 1)
  assert.equal(after.reuse_events, before.reuse_events)
  assert.equal(new Set(all.map((tokens) => tokens.accessToken)).size, 1)
})

test('all workers that share the store make one client_credentials request', async () => {
  const store = new MemoryStore()
  const workers = Array.from({ length: 8 }, () => client.clientCredentials({ scope: 'read', store }))
  const requests = await twin.tokenRequests(() => Promise.all(workers.map((source) => source.token())))
  assert.equal(requests, 1)
})

test('a token refused for one worker is replaced for all', async () => {
  const store = new MemoryStore()
  const [one, two] = [0, 1].map(() => client.clientCredentials({ scope: 'read', store }))
  const dead = await one.token()
  assert.equal((await two.token()).accessToken, dead.accessToken)
  const requests = await twin.tokenRequests(async () => {
    const fresh = await one.renew(dead)
    assert.equal((await two.renew(dead)).accessToken, fresh.accessToken)
  })
  assert.equal(requests, 1)
})

test('new tokens are stored before callers receive them', async () => {
  const store = new MemoryStore()
  await longAgo(store, 'ben')
  const source = client.source(undefined, { store, subject: 'ben' })
  const tokens = await source.token()
  assert.match(store.records.get(source.key).record, new RegExp(tokens.refreshToken))
})

test('different subjects, scopes and resources are separate grants', async () => {
  const store = new MemoryStore()
  const keys = [
    client.source(undefined, { store, subject: 'ann' }).key,
    client.source(undefined, { store, subject: 'ben' }).key,
    client.source(undefined, { store, subject: 'ann', scope: 'read' }).key,
    client.source(undefined, { store, subject: 'ann', resource: ['https://api.example/'] }).key,
    client.clientCredentials({ store }).key,
  ]
  assert.equal(new Set(keys).size, keys.length)
})

test('a record of another grant is rejected', async () => {
  const store = new MemoryStore()
  const ann = client.source(undefined, { store, subject: 'ann' })
  await ann.logIn(await signIn())
  const ben = client.source(undefined, { store, subject: 'ben' })
  store.records.set(ben.key, store.records.get(ann.key))
  const error = await rejection(ben.token())
  assert.ok(error instanceof UntrustedError)
  assert.equal(error.code, 'stored.grant')
})

test('a grant that the server ended has ended for every worker, until the next login', async () => {
  const store = new MemoryStore()
  const [one, two] = [0, 1].map(() => client.source(undefined, { store, subject: 'cas' }))
  const stale = await signIn()
  await longAgo(store, 'cas', stale)
  await client.refresh({ tokens: stale })
  const requests = await twin.tokenRequests(async () => {
    for (const source of [one, two]) {
      const error = await rejection(source.token())
      assert.ok(error instanceof DeniedError)
      assert.equal(error.code, 'denied.invalid_grant')
      assert.equal(error.advice, 'reauthorize')
    }
  })
  assert.equal(requests, 1)
  await two.logIn(await signIn())
  assert.ok(await two.token())
})

test('a failing store is reported, and no refresh token is sent without a lease', async () => {
  const broken = { load() { throw new Error('secret-of-the-store') }, save() {}, lease() {} }
  const source = client.source(undefined, { store: broken, subject: 'ann' })
  const requests = await twin.tokenRequests(async () => {
    const error = await rejection(source.token())
    assert.ok(error instanceof LostError)
    assert.equal(error.endpoint, 'store')
    assert.doesNotMatch(String(error.stack) + error.cause, /secret-of-the-store/)
  })
  assert.equal(requests, 0)
  // Client credentials have no refresh token that could be used twice, so they work without the store.
  const sourceWithBrokenStore = client.clientCredentials({ scope: 'read', store: broken })
  assert.equal(await twin.tokenRequests(async () => assert.ok(await sourceWithBrokenStore.token())), 1)
})

test('an invalid store, or one that returns invalid results, is reported', async () => {
  assert.throws(() => client.clientCredentials({ store: { load() {} } }), TypeError)
  const odd = { load: () => ({ version: 'one' }), save() {}, lease() {} }
  const sourceWithOddStore = client.source(undefined, { store: odd, subject: 'ann' })
  assert.equal((await rejection(sourceWithOddStore.token())).code, 'lost')
  const none = client.source(undefined, { store: new MemoryStore(), subject: 'nobody' })
  const error = await rejection(none.token())
  assert.ok(error instanceof MisuseError)
  assert.equal(error.code, 'grant.no_refresh_token')
  assert.throws(() => client.source({ reuse: 'perhaps' }), (thrown) => thrown.code === 'argument.invalid')
})

test('source and keeper accept options as the only argument', async () => {
  const store = new MemoryStore()
  const alone = client.source({ store, subject: 'ann' })
  assert.equal(alone.key, client.source(undefined, { store, subject: 'ann' }).key)
  assert.equal(client.keeper({ subject: 'ann' }).key, alone.key)
  // Tokens stay tokens, also without options; and what is neither is refused.
  const restoredTokens = Tokens.deserialize(client.tokensFromRefreshToken('r').serialize())
  assert.equal(client.source(restoredTokens, { store, subject: 'ann' }).key, alone.key)
  assert.ok(client.source(restoredTokens))
  for (const wrong of [[{ accessToken: 'a' }], [{ stroe: store }], ['a token'], [{ store }, { subject: 'ann' }], [null]]) {
    assert.throws(() => client.source(...wrong), TypeError, JSON.stringify(wrong))
    assert.throws(() => client.keeper(...wrong), TypeError, JSON.stringify(wrong))
  }
})

test('tokensFromRefreshToken imports a refresh token of another library', async () => {
  const { refreshToken } = await signIn()
  const grant = client.tokensFromRefreshToken(refreshToken, { scope: 'read offline_access' })
  assert.deepEqual([grant.accessToken, grant.refreshToken, grant.clientId], ['', refreshToken, client.clientId])
  assert.ok(grant.expiresAt < new Date())
  const store = new MemoryStore()
  await client.source({ store, subject: 'of-another-library' }).logIn(grant)
  const tokens = await client.source({ store, subject: 'of-another-library' }).token()
  assert.ok(tokens.accessToken && tokens.refreshToken)
  assert.throws(() => client.tokensFromRefreshToken(''), { code: 'argument.invalid' })
  assert.throws(() => client.tokensFromRefreshToken(' r '), { code: 'argument.invalid' })
  assert.throws(() => client.tokensFromRefreshToken(7), TypeError)
})
