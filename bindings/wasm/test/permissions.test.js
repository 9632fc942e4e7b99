// Permissions in detail (RFC 9396) and the resources that tokens are for (RFC 8707), against npm's oidc-provider.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { handle, signedIn, toCallback, world } from './suite.js'

const us = world({ oidc: true, script: 'fapi.mjs' })

const payment = { type: 'payment', actions: ['initiate'], amount: '12.50' }
const [one, other] = ['https://one.example/', 'https://other.example/']

/** What a page sends to the token endpoint. */
function forms() {
  const seen = []
  us.context.on('request', (request) => {
    if (new URL(request.url()).pathname === '/token') seen.push(new URLSearchParams(request.postData()))
  })
  return seen
}

test('permissions are asked for, and what was granted is told', async () => {
  const asked = { scope: 'openid', resource: [one], authorizationDetails: [payment], push: 'always' }
  const page = await signedIn(us, us.configs.oidc, asked)
  const more = { type: 'payment', actions: ['initiate', 'cancel'] }
  const told = await page.evaluate(([payment, more]) => ({
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
  // The server says more than it was asked.
  const granted = [{ ...payment, id: 'p-4711' }]
  assert.deepEqual(told, { granted, missing: [more], malformed: ['MisuseError', 'authorization_details.malformed'] })
  const without = await signedIn(us, us.configs.oidc, { scope: 'openid', push: 'always' })
  assert.equal(await without.evaluate(() => session.authorizationDetails), undefined)
  assert.deepEqual(await without.evaluate((payment) => session.missingAuthorizationDetails([payment]), payment), [payment])
})

test('a session is for one of the resources', async () => {
  const seen = forms()
  const config = { ...us.configs.oidc, storage: 'session' }
  const page = await us.page()
  await toCallback(us, page, config, { scope: 'openid read offline_access', resource: [one], push: 'always' })
  assert.deepEqual(await handle(page, config), { value: true })
  await fetch(`${config.issuer}/_advance/61`, { method: 'POST' })
  await page.clock.install({ time: Date.now() + 61_000 })
  const before = await page.evaluate(() => session.token())
  assert.equal(typeof before, 'string')
  assert.deepEqual(seen.map((form) => [form.get('grant_type'), form.getAll('resource')]), [
    ['authorization_code', [one]],
    ['refresh_token', [one]],
  ])
  // A resource that the server does not know is none of its tokens'.
  const refused = await us.page()
  const invalid = { scope: 'openid', resource: ['https://third.example/#part'], push: 'always' }
  const code = await refused.evaluate(([config, asked]) => web.signIn(config, asked).catch((error) => error.code), [us.configs.oidc, invalid])
  assert.equal(code, 'resource.syntax')
  assert.notEqual(one, other)
})
