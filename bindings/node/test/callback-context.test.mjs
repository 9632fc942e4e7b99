// Calls in a callback that would wait for the callback.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { core, rejection, twins } from './helper.mjs'

const { Client, GrantSource, Grants, MemoryStore, MisuseError, ResourceConnection, Server, Tokens, drain, keep } = core
const issuer = 'https://as.example'
const DEADLOCK = { code: 'misuse.deadlock', advice: 'give_up', hint: 'make the call once the callback has returned' }

/** The tokens of a login, which have expired. */
const expiredLogin = (name = 'ann', age = 3600, more = {}) => Tokens.deserialize(JSON.stringify({
  version: 1, issuer, client_id: 'app', received_at: Math.floor(Date.now() / 1000) - age, access_token: `at-${name}`, expires_in: 600,
  scope: 'read', refresh_token: `rt-${name}`, refresh_scope: null, id_token: null, ...more,
}))

/** The tokens of a login that answered a step-up challenge. */
const steppedUpLogin = (stepUp) => expiredLogin('ann', 0, { answered: { step_up: stepUp, at: 1 } })

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

/** Stores a login of this user whose access token has expired. */
async function storeExpiredLogin(store, subject) {
  const source = client().source({ store, subject })
  await source.logIn(expiredLogin(subject, 0))
  const { version, record } = await store.load(source.key)
  const stored = JSON.parse(record)
  stored.tokens.received_at -= 3600
  await store.save(source.key, JSON.stringify(stored), version)
}

const pause = () => new Promise((resolve) => setTimeout(resolve, 5))

/** A source whose `onTokens` makes this call, and the errors of the calls. */
function sourceCalling(call, { store } = {}) {
  const seen = { errors: [], done: 0 }
  const onTokens = async (tokens) => {
    // A call belongs to the callback even after the callback has awaited something.
    await pause()
    await call(seen.source, tokens).then(() => { seen.done += 1 }, (error) => seen.errors.push(error))
  }
  seen.source = store === undefined
    ? client().source(expiredLogin(), { onTokens })
    : client().source({ store, subject: 'ann', onTokens })
  return seen
}

/** Every log-out and drain of a source. */
const ENDINGS = [
  (source) => source.logOut(),
  (source) => source.drain(),
  (source) => source.close(),
  (source) => source[Symbol.asyncDispose ?? Symbol.for('Symbol.asyncDispose')](),
  () => drain(),
]

for (const isStored of [false, true]) {
  const kind = `a source ${isStored ? 'with' : 'without'} a store`
  test(`a logout or drain for which onTokens of ${kind} waits is refused after a second`, async () => {
    const refused = ENDINGS.map(async (call) => {
      const store = isStored ? new MemoryStore() : undefined
      const seen = sourceCalling(call, { store })
      if (isStored) await storeExpiredLogin(store, 'ann')
      assert.match((await seen.source.token()).accessToken, /^new-/)
      assert.equal(seen.errors.length, 1, String(call))
      assert.ok(seen.errors[0] instanceof MisuseError)
      const { code, advice, hint } = seen.errors[0]
      assert.deepEqual({ code, advice, hint }, DEADLOCK)
      return seen.source
    })
    for (const source of await Promise.all(refused)) {
      // Nothing has ended, and after the callback the call is possible.
      assert.match((await source.token()).accessToken, /^new-/)
      await source.logOut()
      assert.equal((await rejection(source.token())).code, 'grant.no_refresh_token')
    }
  })

  test(`a logout or drain that onTokens of ${kind} does not wait for happens after it`, async () => {
    for (const call of ENDINGS) {
      const store = isStored ? new MemoryStore() : undefined
      let ending
      const seen = sourceCalling(async (source) => {
        ending = call(source)
        await pause()
      }, { store })
      if (isStored) await storeExpiredLogin(store, 'ann')
      assert.match((await seen.source.token()).accessToken, /^new-/)
      await ending
      assert.deepEqual(seen.errors, [])
      // A drain of the process leaves grants alone that are not being renewed by then.
      if (call === ENDINGS.at(-1)) continue
      seen.source.invalidate(await seen.source.token().catch(() => expiredLogin()))
      assert.match((await rejection(seen.source.token())).code, /^(grant.no_refresh_token|token_source.closed)$/, String(call))
    }
  })
}

test('a process that does nothing else is told of the call that would wait for its callback', () => {
  const program = `
    import { Client, Server } from 'oauth-core'
    const issuer = ${JSON.stringify(issuer)}
    const send = async () => ({ status: 200, headers: [['content-type', 'application/json']], body: '{"access_token":"new","token_type":"Bearer"}' })
    const client = new Client(Server.fromMetadata(issuer, { issuer, token_endpoint: issuer + '/token' }), { clientId: 'app', clientSecret: 'secret', send })
    const source = client.clientCredentials({ onTokens: () => source.logOut() })
    await source.token().catch(({ code }) => console.log(code))
  `
  const text = execFileSync(process.execPath, ['--input-type=module', '--eval', program], { encoding: 'utf8', timeout: 60_000 })
  assert.equal(text.trim(), DEADLOCK.code)
})

test('a drain in onTokens keeps to its own limits', async () => {
  const codes = []
  const seen = sourceCalling(async (source) => {
    codes.push((await rejection(source.drain({ timeoutMs: 20 }))).code)
    codes.push((await rejection(source.drain({ signal: AbortSignal.abort() }))).name)
  })
  await seen.source.token()
  assert.deepEqual(codes, ['lost.timeout', 'AbortError'])
})

test('timers made in a callback do not keep its source in memory', async () => {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc')
  const timers = []
  const watched = await (async () => {
    const source = client().source(expiredLogin(), {
      onTokens() {
        timers.push(setInterval(() => {}, 60_000))
      },
    })
    await source.token()
    return new WeakRef(GrantSource.getKeeper(source))
  })()
  for (let tries = 0; tries < 50 && watched.deref() !== undefined; tries += 1) {
    await pause()
    collect()
  }
  timers.forEach(clearInterval)
  assert.equal(timers.length, 1)
  assert.equal(watched.deref(), undefined)
})

test('a keeper with onTokens that is null is renewed', async () => {
  const send = async () => ({ status: 200, headers: [['content-type', 'application/json']], body: '{"access_token":"new","token_type":"Bearer"}' })
  const keeper = client().keeper(expiredLogin(), { shared: false })
  assert.equal((await keep(keeper, { onTokens: null, send })).accessToken, 'new')
})

test('tokens, a new login and a revocation are no problem in onTokens', async () => {
  const calls = [
    (source) => source.token(),
    (source, tokens) => source.logIn(tokens),
    (_, tokens) => client().revoke({ token: tokens.accessToken }),
  ]
  for (const call of calls) {
    for (const store of [undefined, new MemoryStore()]) {
      const seen = sourceCalling(call, { store })
      if (store !== undefined) await storeExpiredLogin(store, 'ann')
      await seen.source.token()
      assert.deepEqual([seen.done, seen.errors], [1, []])
    }
  }
})

test('a logout in onTokens of a different source waits as anywhere', async () => {
  const other = client().source(expiredLogin('ben'))
  await other.token()
  const seen = sourceCalling(() => other.logOut())
  await seen.source.token()
  assert.deepEqual([seen.done, seen.errors], [1, []])
  assert.equal((await rejection(other.token())).code, 'grant.no_refresh_token')
})

test('a logout that onTokens has only scheduled is possible', async () => {
  let loggedOut
  const source = client().source(expiredLogin(), {
    onTokens() {
      loggedOut = pause().then(() => source.logOut())
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
      await pause()
      const calls = [() => grants.logOut('ann'), () => grants.get('ann').logOut(), () => grants.drain(), () => grants.close()]
      seen.push(...(await Promise.all(calls.map((call) => rejection(call())))).map(({ code }) => code))
      await grants.logOut('ben')
      seen.push('ben is logged out')
    },
  })
  await grants.logIn('ben', expiredLogin('ben', 0))
  await storeExpiredLogin(store, 'ann')
  await grants.get('ann').token()
  assert.deepEqual(seen, [...Array(4).fill(DEADLOCK.code), 'ben is logged out'])
  await grants.logOut('ann')
  assert.deepEqual((await store.scan()).keys, [])
})

test('a logout of a pool in onRenewed is refused only if it ends the renewed grant', async () => {
  const stepUp = { acr_values: ['high'] }
  const [ordinary, sibling, raised] = [undefined, { resource: ['https://b.example'] }, { stepUp }]
  const renewed = { ordinary, sibling: { resource: ['https://a.example'] }, raised }
  // Of each grant: the logouts in its hook, and whether they would wait for the hook.
  const cases = [
    ['ordinary', sibling, false], ['ordinary', raised, false], ['ordinary', ordinary, true],
    ['sibling', sibling, false], ['sibling', ordinary, false], ['sibling', renewed.sibling, true],
    ['raised', ordinary, true], ['raised', raised, true], ['raised', { stepUp: { acr_values: ['other'] } }, false], ['raised', sibling, false],
  ]
  await Promise.all(cases.map(async ([name, options, isRefused]) => {
    const codes = []
    const grants = new Grants(client(), new MemoryStore(), {
      async onRenewed(subject, tokens) {
        if (!tokens.accessToken.startsWith('new-')) return
        await grants.logOut(subject, options).then(() => codes.push(undefined), ({ code }) => codes.push(code))
      },
    })
    const of = renewed[name]
    if (of === raised) await grants.logIn('ann', steppedUpLogin(stepUp))
    else await grants.logIn('ann', expiredLogin('ann', 0), of)
    const source = grants.get('ann', of)
    await source.renew(await source.token())
    assert.deepEqual(codes, [isRefused ? DEADLOCK.code : undefined], JSON.stringify([name, options]))
  }))
})

test("the client's own grants are logged out separately", async () => {
  const outcomes = []
  const [first, second] = [{ scope: ['a'] }, { scope: ['b'] }]
  const hooks = [
    () => {},
    () => grants.logOut(undefined, second).then(() => 'logged out', ({ code }) => code),
  ]
  const grants = new Grants(client(), new MemoryStore(), { onRenewed: async () => outcomes.push(await hooks.shift()()) })
  await grants.get(undefined, second).token()
  await grants.get(undefined, first).token()
  assert.deepEqual(outcomes, [undefined, 'logged out'])
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
      await pause()
      const calls = [() => api.token(), () => api.fetch(url), () => api.forget()]
      refused.push(...(await Promise.all(calls.map((call) => rejection(call())))).map(({ code }) => code))
      // By now the connection does not wait for this function any more, but the user has not been asked yet.
      refused.push((await rejection(api.token())).code)
      fetch(page).catch(() => {})
    },
  })
  assert.ok((await api.token()).accessToken)
  assert.deepEqual(refused, Array(4).fill(DEADLOCK.code))
  assert.ok((await api.token()).accessToken)
})

test('a call in the function that opens a page is possible if the function does not wait for it', async () => {
  const { generic: twin } = await twins()
  let inside
  const drained = []
  const api = new ResourceConnection(`${twin.base}/api/echo`, {
    clientName: 'Notes',
    transport: 'loopback_http',
    timeoutMs: 30_000,
    async open(page) {
      await pause()
      inside = api.token()
      // It waits for no connection.
      drained.push(await drain().then(() => 'drained', ({ code }) => code))
      fetch(page).catch(() => {})
    },
  })
  const { accessToken } = await api.token()
  assert.equal((await inside).accessToken, accessToken)
  assert.deepEqual(drained, ['drained'])
})
