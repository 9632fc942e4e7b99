// The presets of tests/presets.json, which apply to all languages.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { startWorld } from './suite.js'

const harness = startWorld()
const presets = JSON.parse(readFileSync(new URL('../../../tests/presets.json', import.meta.url), 'utf8'))

test('each preset has its documented endpoint, or rejects public clients', async () => {
  const page = await harness.page()
  const presetNames = await page.evaluate(() => web.providers)
  assert.deepEqual([...presetNames].sort(), presets.map(({ name }) => name).sort())
  // Requests to the providers are intercepted.
  await harness.context.route((url) => url.protocol === 'https:', (route) => route.fulfill({ body: 'elsewhere' }))
  for (const { name: provider, variables, authorization_endpoint: endpoint, public: isPublic } of presets) {
    const page = await harness.page()
    const config = { provider, variables, clientId: 'id', redirectUri: harness.configs.generic.redirectUri }
    if (isPublic) {
      await page.evaluate((config) => void web.signIn(config), config)
      await page.waitForURL((url) => url.protocol === 'https:')
      const { origin, pathname, searchParams } = new URL(page.url())
      assert.equal(origin + pathname, endpoint)
      assert.equal(searchParams.get('client_id'), 'id')
    } else {
      const { code } = await page.evaluate((config) => told(web.signIn(config)), config)
      assert.equal(code, 'client_auth.required', provider)
    }
    await page.close()
  }
})
