// Additional parameters of token requests: resources, audiences, and those of a provider.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { handle, loaded, signedIn, startWorld, toCallback } from './suite.js'

const harness = startWorld()
const A = 'https://a.example/'
const B = 'urn:b'
const requestOptions = { resource: [A, B], audience: ['c'], tokenExtra: { expiring: '1', tag: 'x' } }
const SENT = [['resource', A], ['resource', B], ['audience', 'c'], ['expiring', '1'], ['tag', 'x']]

/** What a request had of this. */
const ofIt = (query) => [...new URLSearchParams(query)].filter(([name]) => SENT.some(([key]) => key === name))

test('sign-in and each renewal send the resources, audiences and extra parameters', async () => {
  const [authorizations, forms] = [[], []]
  harness.context.on('request', (request) => {
    const { pathname, search } = new URL(request.url())
    if (pathname.endsWith('/authorize')) authorizations.push(ofIt(search))
    if (pathname.endsWith('/token') && request.method() === 'POST') forms.push(ofIt(request.postData()))
  })
  const page = await signedIn(harness, { ...harness.configs.generic, ...requestOptions })
  assert.deepEqual(authorizations, [[['resource', A], ['resource', B], ['audience', 'c']]])
  assert.deepEqual(forms, [SENT])
  await page.evaluate(() => {
    const now = Date.now
    Date.now = () => now() + 3590 * 1000
    return session.token()
  })
  assert.deepEqual(forms, [SENT, SENT])
})

test('configurations with different resources or audiences share no session', async () => {
  const page = await harness.page()
  const names = await page.evaluate(
    async ([config, requestOptions]) => {
      const { sharedName } = await import('/js/client-from-config.js')
      const server = { issuer: 'https://as.example' }
      const turned = { ...requestOptions, resource: [...requestOptions.resource].reverse() }
      const all = [config, { ...config, ...requestOptions }, { ...config, ...turned }, { ...config, ...requestOptions, audience: [] }]
      return all.map((config) => sharedName(server, config))
    },
    [harness.configs.generic, requestOptions],
  )
  assert.equal(names[1], names[2], 'in whatever order')
  assert.equal(new Set(names).size, 3)
})

test('invalid request parameters are refused before anything is sent', async () => {
  const page = await harness.page()
  for (const [more, code] of [
    [{ tokenExtra: { client_secret: 'x' } }, 'form.reserved_parameter'],
    [{ resource: ['no uri'] }, 'resource.syntax'],
  ]) {
    const result = await page.evaluate(
      (config) => web.signIn(config).then(() => 'signed in', (error) => error.code),
      { ...harness.configs.generic, ...more },
    )
    assert.equal(result, code)
  }
})

test('a renewal with resources beyond those of the sign-in is rejected', async () => {
  const forms = []
  harness.context.on('request', (request) => {
    const { pathname } = new URL(request.url())
    if (pathname.endsWith('/token') && request.method() === 'POST') forms.push(ofIt(request.postData()))
  })
  /** Signs in for some resources, and renews for those of the next page's configuration, after a reload. */
  const renewed = async (first, then) => {
    const [before, after] = [first, then].map((resource) => ({ ...harness.configs.generic, resource, storage: 'session' }))
    const page = await harness.page()
    await toCallback(harness, page, before)
    assert.deepEqual(await handle(page, after), { value: true })
    await page.reload()
    await loaded(page)
    return page.evaluate(async (config) => {
      const session = await web.restore(config)
      const now = Date.now
      Date.now = () => now() + 3601 * 1000
      return session.token().then(() => 'renewed', (error) => error.code)
    }, after)
  }
  assert.equal(await renewed([A], [A, B]), 'resource.exceeds_grant')
  assert.deepEqual(forms, [[['resource', A]]])
  // A new sign-in covers both, without a sign-out.
  assert.equal(await renewed([A, B], [A, B]), 'renewed')
  assert.deepEqual(forms.slice(1), [[['resource', A], ['resource', B]], [['resource', A], ['resource', B]]])
  assert.equal(await renewed([A, B], [B]), 'renewed')
  assert.deepEqual(forms.slice(3), [[['resource', A], ['resource', B]], [['resource', B]]])
})
