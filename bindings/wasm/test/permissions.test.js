// Permissions in detail (RFC 9396) and the resources that tokens are for (RFC 8707), against npm's oidc-provider.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { signedIn, startWorld } from './suite.js'

const harness = startWorld({ oidc: true, script: 'fapi.mjs' })

const payment = { type: 'payment', actions: ['initiate'], amount: '12.50' }
const [one, other] = ['https://one.example/', 'https://other.example/']

/** What a page sends to the token endpoint. */
function forms() {
  const seen = []
  harness.context.on('request', (request) => {
    if (new URL(request.url()).pathname === '/token') seen.push(new URLSearchParams(request.postData()))
  })
  return seen
}

test('authorization details are requested, and the granted ones returned', async () => {
  const signInOptions = { scope: 'openid', authorizationDetails: [payment], push: 'always' }
  const page = await signedIn(harness, { ...harness.configs.oidc, resource: [one] }, signInOptions)
  const more = { type: 'payment', actions: ['initiate', 'cancel'] }
  const result = await page.evaluate(([payment, more]) => ({
    granted: session.authorizationDetails,
    missing: session.missingAuthorizationDetails([payment, more]),
    malformed: (() => {
      try {
        session.missingAuthorizationDetails([{ actions: ['read'] }])
      } catch (error) {
        return [error.constructor.name, error.code]
      }
    })(),
  }), [payment, more])
  // The server adds a member to the requested details.
  const granted = [{ ...payment, id: 'p-4711' }]
  assert.deepEqual(result, { granted, missing: [more], malformed: ['MisuseError', 'authorization_details.malformed'] })
  const without = await signedIn(harness, harness.configs.oidc, { scope: 'openid', push: 'always' })
  assert.equal(await without.evaluate(() => session.authorizationDetails), undefined)
  assert.deepEqual(await without.evaluate((payment) => session.missingAuthorizationDetails([payment]), payment), [payment])
})

test('a session requests tokens for its configured resources', async () => {
  const seen = forms()
  for (const resource of [one, other]) {
    const config = { ...harness.configs.oidc, resource: [resource], storage: 'session' }
    const page = await signedIn(harness, config, { scope: 'openid read offline_access', push: 'always' })
    const before = await page.evaluate(() => session.token())
    // The token ends, and the next is for the same.
    const after = await page.evaluate(() => {
      const now = Date.now
      Date.now = () => now() + 59_000
      return session.token()
    })
    assert.notEqual(before, after)
    // What the server grants at that resource.
    assert.equal(await page.evaluate(() => session.scope), 'read')
  }
  assert.deepEqual(seen.map((form) => [form.get('grant_type'), form.getAll('resource')]), [
    ['authorization_code', [one]],
    ['refresh_token', [one]],
    ['authorization_code', [other]],
    ['refresh_token', [other]],
  ])
})
