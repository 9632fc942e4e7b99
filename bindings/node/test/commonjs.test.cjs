// A CommonJS program, as its author would write it.
const assert = require('node:assert/strict')
const { test } = require('node:test')
const { Client, MisuseError, OAuthError, provider } = require('oauth-core')

test('require provides classes, presets and errors', () => {
  const server = provider('uservoice', { variables: { subdomain: 'acme' } })
  const client = new Client(server, { clientId: 'key', clientSecret: 'secret' })
  const step = client.exchange.clientCredentials().begin()
  assert.equal(step.url, 'https://acme.uservoice.com/api/v2/oauth/token')
  assert.throws(() => provider('uservoice'), (error) => error instanceof MisuseError && error instanceof OAuthError)
})

test('an error raised by one module system is an instance in the other', async () => {
  const esm = await import('oauth-core')
  assert.throws(() => provider('nobody'), esm.MisuseError)
})
