// The stored tokens of step-ups: which are evicted, and which end with a logout.
import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { after, test } from 'node:test'
import { core, rejection } from './helper.mjs'

const { Client, Grants, MemoryStore, Server, Tokens } = core

/** A server that revokes tokens, or cannot. */
const seen = { revoked: [], status: 200 }
const http = createServer(async (request, response) => {
  const chunks = []
  for await (const chunk of request) chunks.push(chunk)
  seen.revoked.push(new URLSearchParams(Buffer.concat(chunks).toString()).get('token'))
  response.writeHead(seen.status, { 'content-type': 'application/json' }).end('{}')
})
await new Promise((ready) => http.listen(0, '127.0.0.1', ready))
after(() => http.close())
const issuer = `http://127.0.0.1:${http.address().port}`
const metadata = { issuer, token_endpoint: `${issuer}/token`, revocation_endpoint: `${issuer}/revoke` }
const server = Server.fromMetadata(issuer, metadata, { transport: 'loopback_http' })
const client = new Client(server, { clientId: 'app', clientSecret: 'secret' })

const now = () => Math.floor(Date.now() / 1000)
const login = (acr, more) => Tokens.deserialize(JSON.stringify({
  version: 1, issuer, client_id: 'app', received_at: now(), access_token: `at-${acr}`, expires_in: 600, scope: 'read',
  refresh_token: `rt-${acr}`, refresh_scope: null, id_token: null,
  answered: acr === undefined ? undefined : { step_up: { acr_values: [acr] }, at: 1 }, ...more,
}))
const names = async (grants) => (await grants.list()).grants.flatMap(({ stepUp }) => stepUp?.acr_values ?? []).sort()
const isGone = async (store) => (await store.scan()).keys.length === 0

test('an ended or expired step-up is evicted first', async () => {
  const store = new MemoryStore()
  const grants = new Grants(client, store)
  for (const acr of ['ended', 'expired', 'kept']) await grants.logIn('ann', login(acr))
  for (const [acr, change] of [
    ['ended', (record) => record.replace('{', '{"ended":{"refused":"invalid_grant"},').replace(',"ended":null', '')],
    ['expired', (record) => record.replace('"rt-expired"', 'null').replaceAll(/"received_at":(\d+)/g, '"received_at":1')],
  ]) {
    const { key } = grants.get('ann', { stepUp: { acr_values: [acr] } })
    const { version, record } = await store.load(key)
    assert.ok(await store.save(key, change(record), version))
  }
  assert.deepEqual(await names(grants), ['ended', 'expired', 'kept'])
  await grants.logIn('ann', login('new'))
  assert.deepEqual(await names(grants), ['kept', 'new'])
  // A logout from one step-up removes it from the list; the last one removes the list.
  for (const acr of ['kept', 'new']) await grants.logOut('ann', { stepUp: { acr_values: [acr] } })
  assert.ok(await isGone(store))
})

test('an evicted step-up that cannot be revoked is reported', async () => {
  const grants = new Grants(client, new MemoryStore())
  for (let number = 0; number < 8; number += 1) await grants.logIn('ann', login(`acr-${number}`))
  seen.status = 503
  const { code } = await rejection(grants.logIn('ann', login('acr-8')))
  seen.status = 200
  assert.equal(code, 'denied.busy')
  const stored = await names(grants)
  assert.equal(stored.length, 8)
  assert.ok(stored.includes('acr-8') && !stored.includes('acr-0'))
})

/** A store that calls `meanwhile` before the operation with this number; `isOver` tells whether there were fewer. */
function interrupted(store, number, meanwhile) {
  let count = 0
  const beforeOperation = async () => {
    count += 1
    if (count === number) await meanwhile()
  }
  const methods = ['load', 'save', 'lease', 'remove', 'scan'].map((verb) => [verb, async (...all) => {
    await beforeOperation()
    return store[verb](...all)
  }])
  return { store: Object.fromEntries(methods), isOver: () => count < number }
}

test('a logout concurrent with a step-up login leaves no tokens of it', async () => {
  for (const isLogout of [true, false]) {
    for (let number = 1, isOver = false; !isOver; number += 1) {
      const store = new MemoryStore()
      const others = new Grants(client, store)
      await others.logIn('ann', login(undefined, { access_token: 'ordinary' }))
      const [comes, leaves] = [(grants) => grants.logIn('ann', login('phr')), (grants) => grants.logOut('ann')]
      const [first, second] = isLogout ? [leaves, comes] : [comes, leaves]
      const interruption = interrupted(store, number, () => second(others))
      let failure
      await first(new Grants(client, interruption.store)).catch((error) => { failure = error })
      isOver = interruption.isOver()
      if (failure !== undefined) {
        assert.equal(failure.code, 'grant.no_refresh_token')
        assert.ok(seen.revoked.includes('rt-phr'))
      }
      const key = others.get('ann', { stepUp: { acr_values: ['phr'] } }).key
      const isStored = Boolean((await store.load(key))?.record)
      const list = (await store.load(`step-ups:${others.get('ann').key}`))?.record ?? ''
      assert.ok(!isStored || list.includes('phr'), `operation ${number}`)
      await others.logOut('ann')
      assert.ok(await isGone(store), `operation ${number}`)
      seen.revoked.length = 0
    }
  }
})

test('an unreadable step-up list is reported, cleared by a logout and rewritten by a login', async () => {
  const store = new MemoryStore()
  const grants = new Grants(client, store)
  await grants.logIn('ann', login('mfa'))
  const key = `step-ups:${grants.get('ann').key}`
  const overwriteList = async (record) => store.save(key, record, (await store.load(key)).version)
  for (const record of ['[', '{}', '[1]', 'null']) {
    await overwriteList(record)
    const refused = await rejection(grants.logOut('ann', { stepUp: { acr_values: ['phr'] } }))
    assert.equal(refused.code, 'stored.malformed', record)
    assert.equal((await store.load(key)).record, record, 'left as it was')
    assert.equal((await rejection(grants.logOut('ann'))).code, 'stored.malformed', record)
    assert.equal((await store.load(key)).record, '', 'cleared')
    await grants.logOut('ann')
  }
  await overwriteList('[')
  await grants.logIn('ann', login('new'))
  await grants.logOut('ann')
  assert.ok(!(await names(grants)).includes('new'))
})

/** Removes the refresh token from the stored record of a step-up, and makes its access token expire. */
async function expire(store, grants, acr) {
  const { key } = grants.get('ann', { stepUp: { acr_values: [acr] } })
  const { version, record } = await store.load(key)
  const old = record.replace(/"refresh_token":"[^"]*"/, '"refresh_token":null').replaceAll(/"received_at":(\d+)/g, '"received_at":1')
  assert.ok(await store.save(key, old, version))
}

test('a login is not ended by the eviction of another worker', async () => {
  for (const isStored of [true, false]) {
    for (const isLoginFirst of [true, false]) {
      for (let number = 1, isOver = false; !isOver; number += 1) {
        const store = new MemoryStore()
        const others = new Grants(client, store)
        await others.logIn('ann', login('phr'))
        if (isStored) await expire(store, others, 'phr')
        else await store.remove(others.get('ann', { stepUp: { acr_values: ['phr'] } }).key)
        seen.revoked.length = 0
        const newLogin = login('phr', { access_token: 'anew', refresh_token: 'rt-anew' })
        const logInAgain = (grants) => grants.logIn('ann', newLogin)
        const logInForOther = (grants) => grants.logIn('ann', login('mfa'))
        const [first, second] = isLoginFirst ? [logInAgain, logInForOther] : [logInForOther, logInAgain]
        // The second starts in the middle of the first, and may have to wait for it.
        let secondCall
        const interruption = interrupted(store, number, async () => {
          secondCall = second(new Grants(client, store))
          secondCall.catch(() => {})
          await Promise.race([secondCall, new Promise((wake) => setTimeout(wake, 40))])
        })
        await first(new Grants(client, interruption.store))
        await secondCall
        isOver = interruption.isOver()
        if (isOver) break
        const message = `operation ${number}, ${isStored}, ${isLoginFirst}`
        const token = await new Grants(client, store).get('ann', { stepUp: { acr_values: ['phr'] } }).token()
        assert.equal(token.accessToken, 'anew', message)
        assert.deepEqual(await names(others), ['mfa', 'phr'], message)
        assert.ok((await store.load(`step-ups:${others.get('ann').key}`)).record.includes('phr'), message)
        assert.ok(!seen.revoked.includes('rt-anew'), message)
      }
    }
  }
})

test('entries that a crashed worker listed but never stored are evicted first', async () => {
  const store = new MemoryStore()
  const grants = new Grants(client, store)
  await grants.logIn('ann', login('first'))
  const list = `step-ups:${grants.get('ann').key}`
  const { version, record } = await store.load(list)
  const unstored = Array.from({ length: 7 }, (_, number) => JSON.stringify({ acr_values: [`dead-${number}`] }))
  const [first] = JSON.parse(record)
  assert.ok(await store.save(list, JSON.stringify([first, ...unstored.map((one) => ({ ...first, ...JSON.parse(one) }))]), version))
  // The last of them is in use: its lease is held.
  const { key } = grants.get('ann', { stepUp: { acr_values: ['dead-6'] } })
  assert.ok(!(await store.lease(`step-ups:${key}`, 'another', 10_000) > 0))
  await grants.logIn('ann', login('next'))
  const remaining = JSON.parse((await store.load(list)).record).map(({ acr_values: [name] }) => name)
  assert.deepEqual(remaining, ['first', 'dead-6', 'next'])
  assert.deepEqual(await names(grants), ['first', 'next'])
})

/** A store that fails while it is down. */
function failing(store) {
  const state = { isDown: false }
  const methods = ['load', 'save', 'lease', 'remove', 'scan'].map((verb) => [verb, async (...all) => {
    if (state.isDown) throw new Error('down')
    return store[verb](...all)
  }])
  return [Object.fromEntries(methods), state]
}

test('a login whose record could not be stored is discarded after a logout', async () => {
  for (const isHere of [true, false]) {
    const store = new MemoryStore()
    const [flaky, state] = failing(store)
    const [here, elsewhere] = [new Grants(client, flaky), new Grants(client, store)]
    state.isDown = true
    const received = now() - (isHere ? 0 : 5)
    const refused = await rejection(here.logIn('ann', login(undefined, { refresh_token: 'rt-late', received_at: received })))
    assert.equal(refused.code, 'lost')
    seen.revoked.length = 0
    if (isHere) state.isDown = false
    await (isHere ? here : elsewhere).logOut('ann')
    state.isDown = false
    const late = await rejection((async () => {
      for (let tries = 0; tries < 60; tries += 1) {
        await here.get('ann').token()
        await new Promise((wake) => setTimeout(wake, 100))
      }
    })())
    assert.equal(late.code, 'grant.no_refresh_token', String(isHere))
    assert.deepEqual(seen.revoked, ['rt-late'], String(isHere))
    assert.ok(await isGone(store), String(isHere))
  }
})
