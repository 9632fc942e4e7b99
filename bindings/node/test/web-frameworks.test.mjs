// Every check of a sign-in against every framework, over sockets.
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { core, twins } from './helper.mjs'
import { apps, serve } from './web-apps.mjs'
import { Browser, checks, opener } from './web-checks.mjs'

const web = await import('oauth-core/web')

const { generic: twin } = await twins()
await twin.claim('name', 'Ann')
const table = Object.fromEntries(checks.map(([what]) => [what, {}]))

for (const [framework, make] of Object.entries(apps)) {
  const open = await opener(twin, web, make, serve)
  for (const [what, check] of checks) {
    test(`${what}: ${framework}`, async () => {
      table[what][framework] = 'no'
      await check({ open, twin })
      table[what][framework] = 'yes'
    })
  }
}

for (const [framework, make] of Object.entries(apps)) {
  test(`an application serves its client ID metadata document: ${framework}`, async () => {
    await twin.acceptClientIdMetadata()
    const transport = 'loopback_http'
    const server = await core.discover(twin.base, { transport })
    const base = await serve(async (origin, listening) => {
      const clientId = `${origin}/oauth/client.json`
      const client = new core.Client(server, { clientId })
      const metadata = { client_name: 'Shop', redirect_uris: [`${origin}/auth/callback`], grant_types: ['authorization_code', 'refresh_token'] }
      const { document: clientMetadata } = await client.clientIdMetadata({ metadata })
      const site = new web.Site({
        baseUrl: origin, key: new Uint8Array(32).fill(7), client, transport, scope: 'openid', clientMetadata,
        admit: () => ({ cart: 3 }),
      })
      return make(site, { api: `${twin.base}/api/echo`, server: listening })
    })
    const url = `${base}/oauth/client.json`
    const reply = await fetch(url)
    assert.equal(reply.status, 200)
    assert.equal(reply.headers.get('content-type'), 'application/json')
    assert.equal(reply.headers.get('cache-control'), 'public, max-age=300')
    assert.deepEqual(reply.headers.getSetCookie(), [])
    assert.equal((await reply.json()).client_id, url)
    assert.equal((await new Browser().open(`${base}/me`)).status, 200)
    const { form } = (await twin.log()).findLast(({ path }) => path === '/token')
    assert.deepEqual(form.find(([name]) => name === 'client_id'), ['client_id', url])
  })
}

// What the documentation says of frameworks is what this prints.
if (process.env.OAUTH_CORE_TABLE) after(() => console.table(table))
