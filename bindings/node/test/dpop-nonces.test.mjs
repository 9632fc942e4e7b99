// Bound tokens at npm's oidc-provider, whose nonces change while they are in use (RFC 9449 sections 8 and 9).
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Browser, core, fapiProvider } from './helper.mjs'

const { Client, DpopKey, discover, privateKeyJwt } = core
const redirectUri = 'http://127.0.0.1/callback'
const CALLERS = 50

/** The server, its counters, and a signed-in user. */
async function signedIn() {
  const { issuer, clients } = await fapiProvider({ ACCESS_TOKEN_SECONDS: '600' })
  const server = await discover(issuer, { transport: 'loopback_http' })
  const clientAuth = privateKeyJwt(clients.security.private_key, { alg: 'ES256' })
  const client = new Client(server, { clientId: 'security', clientAuth, dpopKey: await DpopKey.generate() })
  const { url, flow } = await client.beginAuthorization({ redirectUri, scope: 'openid offline_access', push: 'always' })
  const callback = await new Browser(({ href }) => href.startsWith(redirectUri)).open(url)
  const tokens = await client.redeem(flow, callback.url)
  const source = client.source(tokens, { origins: [issuer] })
  const control = async (what) => assert.equal((await fetch(`${issuer}/_${what}`, { method: 'POST' })).status, 204)
  const counts = async () => (await fetch(`${issuer}/_counters`)).json()
  /** The counters that `work` changes, and by how much. */
  const changesDuring = async (work) => {
    const before = await counts()
    await work()
    const changes = Object.entries(await counts()).map(([name, count]) => [name, count - before[name]])
    return Object.fromEntries(changes.filter(([, count]) => count !== 0))
  }
  const call = async () => assert.equal((await (await source.fetch(`${issuer}/me`)).json()).sub, 'somebody')
  return { client, tokens, source, control, changesDuring, call }
}

test('the nonce of the server may change while tokens are in use', async () => {
  const { client, tokens, source, control, changesDuring, call } = await signedIn()
  await call()
  // All nonces replaced at once: the first caller is challenged, and the second has the new nonce.
  await control('nonces')
  assert.deepEqual(await changesDuring(call), { use_dpop_nonce_at_api: 1 })
  assert.deepEqual(await changesDuring(() => client.userinfo({ tokens, subject: 'somebody' })), {})
  // The same holds at the token endpoint, which has its own nonces.
  const renew = async () => source.renew(await source.token())
  assert.deepEqual(await changesDuring(renew), { refreshes: 1, use_dpop_nonce: 1 })
  assert.deepEqual(await changesDuring(renew), { refreshes: 1 })
  // Nonces replaced over time: each response contains the next one, and no request is rejected after the first has expired.
  const callForSixMinutes = async () => {
    for (let minute = 0; minute < 6; minute += 1) {
      await control('advance/60')
      await call()
    }
  }
  assert.deepEqual(await changesDuring(callForSixMinutes), {})
})

test('fifty callers that need new nonces share one refresh', async () => {
  const { control, changesDuring, call } = await signedIn()
  await call()
  await control('nonces')
  await control('expire')
  const callAtOnce = () => Promise.all(Array.from({ length: CALLERS }, call))
  const { use_dpop_nonce_at_api: nonceChallenges, ...others } = await changesDuring(callAtOnce)
  // The token request is repeated once with the nonce; each caller of the API is challenged at most once.
  assert.ok(nonceChallenges >= 1 && nonceChallenges <= CALLERS, `${nonceChallenges}`)
  assert.deepEqual(others, { refreshes: 1, use_dpop_nonce: 1 })
})
