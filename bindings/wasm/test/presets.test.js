// The presets as tests/presets.json states them, which every language is held to.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { world } from './suite.js'

const harness = world()
const presets = JSON.parse(readFileSync(new URL('../../../tests/presets.json', import.meta.url), 'utf8'))

test('every preset leads where it says, or has no public clients', async () => {
  const page = await harness.page()
  const presetNames = await page.evaluate(() => web.providers)
  assert.deepEqual([...presetNames].sort(), presets.map(({ name }) => name).sort())
  // Nobody is asked: the person only sets out.
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
