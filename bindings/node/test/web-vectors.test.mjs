// The sign-in vectors, common to all languages.
import { test } from 'node:test'
import { core, twins } from './helper.mjs'
import { SHOP, callbackPaths, play, siteSettings, signIns } from './web-sign-ins.mjs'

const { Site } = await import('oauth-core/web')

const { generic: twin } = await twins()
const { clientId, clientSecret } = await twin.client()
const transport = 'loopback_http'
const client = new core.Client(await core.discover(twin.base, { transport }), { clientId, clientSecret })

for (const signIn of signIns) {
  test(`a sign-in vector: ${signIn.name}`, async () => {
    for (const callback of callbackPaths(signIn)) await twin.register(callback)
    const settings = siteSettings(signIn, twin.base, client, 'openid read offline_access')
    const site = new Site({
      baseUrl: SHOP, key: Buffer.alloc(32, 7), transport, store: signIn.stored ? new core.MemoryStore() : undefined, ...settings,
    })
    await play(signIn, twin, async ({ url, ...request }, { access, need }) => {
      const required = need && { acr: need.acr, maxAge: need.max_age, scope: [] }
      const handled = await site.handle(new Request(url, request), { access, need: required })
      return handled instanceof Response ? handled : new Response(null, { headers: { 'x-user': handled.user?.subject ?? '' } })
    })
  })
}
