// Calls in a callback that would wait for the callback.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { core, rejection, twins } from './helper.mjs'

const { Client, Grants, MemoryStore, MisuseError, ResourceConnection, Server, Tokens, drain } = core
const issuer = 'https://as.example'
const DEADLOCK = { code: 'misuse.deadlock', advice: 'give_up', hint: 'make the call once the callback has returned' }

/** The tokens of a login, which have to be renewed. */
const aged = (name = 'ann', age = 3600) => Tokens.deserialize(JSON.stringify({
  version: 1, issuer, client_id: 'app', received_at: Math.floor(Date.now() / 1000) - age, access_token: `at-${name}`, expires_in: 600,
  scope: 'read', refresh_token: `rt-${name}`, refresh_scope: null, id_token: null,
}))

let count = 0
const client = () => {
  const headers = [['content-type', 'application/json']]
  const send = async ({ url }) => {
    count += 1
    const body = { access_token: `new-${count}`, token_type: 'Bearer', expires_in: 600, refresh_token: `next-${count}` }
    return { status: 200, headers, body: url.endsWith('/revoke') ? '' : JSON.stringify(body) }
  }
  const metadata = { issuer, token_endpoint: `${issuer}/token`, revocation_endpoint: `${issuer}/revoke` }
  return new Client(Server.fromMetadata(issuer, metadata), { clientId: 'app', clientSecret: 'secret', send })
}

/** Makes the stored login of this user one that has to be renewed. */
async function ageStored(store, subject) {
  const source = client().source({ store, subject })
  await source.logIn(aged(subject, 0))
  const { version, record } = await store.load(source.key)
  const stored = JSON.parse(record)
  stored.tokens.received_at -= 3600
  await store.save(source.key, JSON.stringify(stored), version)
}

const turn = () => new Promise((resolve) => setTimeout(resolve, 5))

/** A source whose `onTokens` makes this call, and what that threw. */
function calling(call, { store } = {}) {
  const seen = { errors: [], done: 0 }
  const onTokens = async (tokens) => {
    // The call is one of the callback's wherever the callback makes it.
    await turn()
    await call(seen.source, tokens).then(() => { seen.done += 1 }, (error) => seen.errors.push(error))
  }
  seen.source = store === undefined
    ? client().source(aged(), { onTokens })
    : client().source({ store, subject: 'ann', onTokens })
  return seen
}

for (const isStored of [false, true]) {
  test(`a logout or drain in onTokens of a source ${isStored ? 'with' : 'without'} a store is refused at once`, async () => {
    const calls = [
      (source) => source.logOut(),
      (source) => source.drain(),
      (source) => source.close(),
      (source) => source[Symbol.asyncDispose ?? Symbol.for('Symbol.asyncDispose')](),
      () => drain(),
    ]
    for (const call of calls) {
      const store = isStored ? new MemoryStore() : undefined
      const seen = calling(call, { store })
      if (isStored) await ageStored(store, 'ann')
      const started = performance.now()
      assert.match((await seen.source.token()).accessToken, /^new-/)
      assert.ok(performance.now() - started < 5000)
      assert.equal(seen.errors.length, 1, String(call))
      assert.ok(seen.errors[0] instanceof MisuseError)
      const { code, advice, hint } = seen.errors[0]
      assert.deepEqual({ code, advice, hint }, DEADLOCK)
      // Nothing has ended, and after the callback the call is possible.
      assert.match((await seen.source.token()).accessToken, /^new-/)
      await seen.source.logOut()
      assert.equal((await rejection(seen.source.token())).code, 'grant.no_refresh_token')
    }
  })
}

test('tokens, a new login and a revocation are no problem in onTokens', async () => {
  const calls = [
    (source) => source.token(),
    (source, tokens) => source.logIn(tokens),
    (_, tokens) => client().revoke({ token: tokens.accessToken }),
  ]
  for (const call of calls) {
    for (const store of [undefined, new MemoryStore()]) {
      const seen = calling(call, { store })
      if (store !== undefined) await ageStored(store, 'ann')
      await seen.source.token()
      assert.deepEqual([seen.done, seen.errors], [1, []])
    }
  }
})

test('a logout in onTokens of a different source waits as anywhere', async () => {
  const other = client().source(aged('ben'))
  await other.token()
  const seen = calling(() => other.logOut())
  await seen.source.token()
  assert.deepEqual([seen.done, seen.errors], [1, []])
  assert.equal((await rejection(other.token())).code, 'grant.no_refresh_token')
})

test('a logout that onTokens has only scheduled is possible', async () => {
  let loggedOut
  const source = client().source(aged(), {
    onTokens() {
      loggedOut = turn().then(() => source.logOut())
    },
  })
  await source.token()
  await loggedOut
  assert.equal((await rejection(source.token())).code, 'grant.no_refresh_token')
})

test('a logout or drain of a pool in onRenewed is refused for the same user only', async () => {
  const store = new MemoryStore()
  const seen = []
  const grants = new Grants(client(), store, {
    async onRenewed(subject) {
      if (subject !== 'ann') return
      await turn()
      for (const call of [() => grants.logOut('ann'), () => grants.get('ann').logOut(), () => grants.drain(), () => grants.close()]) {
        seen.push((await rejection(call())).code)
      }
      await grants.logOut('ben')
      seen.push('ben is logged out')
    },
  })
  await grants.logIn('ben', aged('ben', 0))
  await ageStored(store, 'ann')
  await grants.get('ann').token()
  assert.deepEqual(seen, [...Array(4).fill(DEADLOCK.code), 'ben is logged out'])
  await grants.logOut('ann')
  assert.deepEqual((await store.scan()).keys, [])
})

test('a connection refuses calls in the function that opens its page', async () => {
  const { generic: twin } = await twins()
  const url = `${twin.base}/api/echo`
  const refused = []
  const api = new ResourceConnection(url, {
    clientName: 'Notes',
    transport: 'loopback_http',
    timeoutMs: 30_000,
    async open(page) {
      await turn()
      for (const call of [() => api.token(), () => api.fetch(url), () => api.forget()]) refused.push((await rejection(call())).code)
      fetch(page).catch(() => {})
    },
  })
  const started = performance.now()
  assert.ok((await api.token()).accessToken)
  assert.ok(performance.now() - started < 10_000)
  assert.deepEqual(refused, Array(3).fill(DEADLOCK.code))
  assert.ok((await api.token()).accessToken)
})
