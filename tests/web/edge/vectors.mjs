// A site of the vectors of whole sign-ins, as a Worker: every page is the application's, and says who is signed in.
import { env } from 'cloudflare:workers'
import { Client, discover } from 'oauth-core'
import { Site } from 'oauth-core/web'
import { store } from './records.mjs'

export { StoredRecord } from './records.mjs'

const { twin, clientId, clientSecret, baseUrl, stored, site: settings } = env.SETTINGS
const transport = 'loopback_http'
const site = new Site({
  baseUrl, key: new Uint8Array(32).fill(7), scope: 'openid read offline_access', transport, store: stored ? store : undefined,
  client: async () => new Client(await discover(twin, { transport }), { clientId, clientSecret }), ...settings,
})

export default {
  async fetch(request) {
    const handled = await site.handle(request, { access: request.headers.get('x-access') })
    return handled instanceof Response ? handled : new Response(null, { headers: { 'x-user': handled.user?.subject ?? '' } })
  },
}
