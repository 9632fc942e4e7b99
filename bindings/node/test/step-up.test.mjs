// Step-up (RFC 9470), from the 401 of an API over another login to its 200, at the twins.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { followToCallback, core, rejection, twins } from './helper.mjs'

const { Client, DpopKey, Grants, MemoryStore, discover, privateKeyJwt, stepUp } = core
const redirectUri = 'http://127.0.0.1/callback'
const { generic, fapi } = await twins()

async function createClient(twin) {
  const { clientId, clientSecret, clientKey } = await twin.client()
  const server = await discover(twin.base, { transport: 'loopback_http' })
  return twin === fapi
    ? new Client(server, { clientId, clientAuth: privateKeyJwt(clientKey), dpopKey: await DpopKey.generate(), profile: 'fapi2_security' })
    : new Client(server, { clientId, clientSecret })
}

async function login(client, more) {
  const { url, flow } = await client.beginAuthorization({ redirectUri, scope: 'openid read', ...more })
  return client.redeem(flow, await followToCallback(url, redirectUri))
}

const callApi = (twin, client, tokens) =>
  client.source(tokens, { origins: [twin.base] }).fetch(`${twin.base}/api/echo`)

for (const [name, twin] of Object.entries({ generic, fapi })) {
  test(`a step-up that the API of the ${name} twin requires succeeds with another login`, async () => {
    const client = await createClient(twin)
    await twin.stepUp({ acr_values: ['phr', 'mfa'], max_age: 60 })
    const first = await login(client)
    let requiredStepUp = stepUp(await callApi(twin, client, first))
    assert.deepEqual(requiredStepUp, { acr_values: ['phr', 'mfa'], max_age: 60 })
    const second = await login(client, { stepUp: requiredStepUp, tokens: first })
    assert.equal((await callApi(twin, client, second)).status, 200)
    assert.deepEqual(second.warnings, [])

    // An authentication context that the user cannot provide.
    await twin.stepUp({ acr_values: ['hardware'] })
    await twin.claim('acr', 'pwd')
    requiredStepUp = stepUp(await callApi(twin, client, second))
    const third = await login(client, { stepUp: requiredStepUp, tokens: second })
    assert.deepEqual(third.warnings, ['acr_not_met'])
    requiredStepUp = stepUp(await callApi(twin, client, third))
    assert.equal((await rejection(login(client, { stepUp: requiredStepUp, tokens: third }))).code, 'step_up.repeated')
  })
}

test('repeated step-up requirements end with an error', async () => {
  const client = await createClient(generic)
  let tokens = await login(client)
  for (const acr of ['phr', 'mfa', 'phr', 'mfa', 'phr']) {
    tokens = await login(client, { stepUp: { acr_values: [acr] }, tokens })
  }
  const again = login(client, { stepUp: { acr_values: ['mfa'] }, tokens })
  assert.equal((await rejection(again)).code, 'step_up.limit')
})

/** Microsoft Entra's claims challenge. */
test('claims that the API requires are requested in another login', async () => {
  await generic.claim('acr', null)
  const client = await createClient(generic)
  await generic.stepUp({ claims: { access_token: { acrs: { essential: true, value: 'c1' } } } })
  const first = await login(client)
  const reply = await callApi(generic, client, first)
  assert.equal(reply.status, 401)
  const second = await login(client, { stepUp: stepUp(reply), tokens: first })
  assert.equal((await callApi(generic, client, second)).status, 200)
})

test('the tokens of a step-up are stored separately from the ordinary ones', async () => {
  await generic.claim('acr', null)
  await generic.stepUp({})
  const client = await createClient(generic)
  const first = await login(client)
  await generic.stepUp({ acr_values: ['phr'] })
  const requiredStepUp = stepUp(await callApi(generic, client, first))
  const second = await login(client, { stepUp: requiredStepUp, tokens: first })
  const grants = new Grants(client, new MemoryStore())
  await grants.logIn('ann', first)
  await grants.logIn('ann', second)
  const call = (options) => grants.get('ann', options).api({ origins: [generic.base] }).fetch(`${generic.base}/api/echo`)
  // Requests that need the step-up use its tokens, even after renewals, without user interaction.
  assert.equal((await call({ stepUp: requiredStepUp })).status, 200)
  assert.notEqual((await grants.get('ann', { stepUp: requiredStepUp }).renew(second)).accessToken, second.accessToken)
  assert.equal((await call({ stepUp: { ...requiredStepUp, scope: 'any' } })).status, 200)
  // The ordinary tokens are unchanged and still insufficient.
  assert.equal((await grants.get('ann').token()).accessToken, first.accessToken)
  assert.deepEqual(stepUp(await call()), requiredStepUp)
  // A request without a requirement uses them.
  await generic.stepUp({})
  assert.equal((await call()).status, 200)
  const found = (await grants.list()).grants.map((grant) => grant.stepUp)
  assert.equal(found.length, 2)
  assert.ok(found.includes(undefined))
  assert.deepEqual(found.find((one) => one !== undefined), { acr_values: ['phr'] })
  // Another requirement has no tokens yet; the end of the ordinary grant is that of all.
  const nobody = await rejection(grants.get('ann', { stepUp: { acr_values: ['mfa'] } }).token())
  assert.equal(nobody.advice, 'reauthorize')
  await grants.logOut('ann')
  assert.deepEqual((await grants.list()).grants, [])
  assert.throws(() => grants.get('ann', { stepUp: { acr_values: 7 } }), { code: 'argument.invalid' })
})

test('a ninth step-up of a user evicts the oldest', async () => {
  await generic.claim('acr', null)
  await generic.stepUp({})
  const client = await createClient(generic)
  const grants = new Grants(client, new MemoryStore())
  const ordinary = await login(client)
  const stored = JSON.parse(ordinary.serialize())
  for (let number = 0; number < 9; number += 1) {
    const record = { step_up: { acr_values: [`acr-${number}`] }, at: 1 }
    const text = JSON.stringify({ ...stored, access_token: `a${number}`, refresh_token: `r${number}`, answered: record })
    await grants.logIn('ann', core.Tokens.deserialize(text))
  }
  assert.equal((await grants.list()).grants.length, 8)
  const token = (number) => grants.get('ann', { stepUp: { acr_values: [`acr-${number}`] } }).token()
  assert.equal((await rejection(token(0))).advice, 'reauthorize')
  assert.equal((await token(8)).accessToken, 'a8')
})
