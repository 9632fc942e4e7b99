// Whole sign-ins, as every language plays them.
import { test } from 'node:test'
import { core, twins } from './helper.mjs'
import { SHOP, inJavaScript, play, signIns } from './web-sign-ins.mjs'

const { Site } = await import('oauth-core/web')

const { generic: twin } = await twins()
const { clientId, clientSecret } = await twin.client()
const transport = 'loopback_http'
const client = new core.Client(await core.discover(twin.base, { transport }), { clientId, clientSecret })

for (const signIn of signIns) {
  test(`a whole sign-in: ${signIn.name}`, async () => {
    const settings = inJavaScript(signIn.site)
    await twin.register(`${SHOP}${settings.prefix ?? '/auth'}/callback`)
    const site = new Site({
      baseUrl: SHOP, key: Buffer.alloc(32, 7), client, scope: 'openid read offline_access', transport,
      store: signIn.stored ? new core.Memory() : undefined, ...settings,
    })
    await play(signIn, twin.base, async ({ url, ...request }, access) => {
      const handled = await site.handle(new Request(url, request), { access })
      return handled instanceof Response ? handled : new Response(null, { headers: { 'x-user': handled.user?.subject ?? '' } })
    })
  })
}
