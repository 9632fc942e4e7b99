// The presets of tests/presets.json, which apply to all languages.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import { core, root } from './helper.mjs'

const { Client, provider, providers } = core
const presets = JSON.parse(readFileSync(path.join(root, 'tests/presets.json'), 'utf8'))

test('each preset has its documented issuer, endpoint and client type', () => {
  assert.deepEqual(providers().sort(), presets.map(({ name }) => name).sort())
  const redirectUri = 'https://app.example/callback'
  for (const preset of presets) {
    const server = provider(preset.name, { variables: preset.variables })
    assert.equal(server.issuer, preset.issuer)
    const client = new Client(server, { clientId: 'id', clientSecret: 'secret', redirectUris: [redirectUri] })
    const { url } = client.authorize({ redirectUri })
    assert.equal(url.origin + url.pathname, preset.authorization_endpoint)
    const open = () => new Client(server, { clientId: 'id' })
    if (preset.public) open()
    else assert.throws(open, { code: 'client_auth.required' }, preset.name)
  }
})
