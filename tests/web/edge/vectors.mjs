// The site of the sign-in vectors as a Worker: each page of the application returns the signed-in user.
import { env } from 'cloudflare:workers'
import { Client, discover } from 'oauth-core'
import { Site } from 'oauth-core/web'
import { siteSettings } from '../../../bindings/node/test/web-sign-in-settings.mjs'
import { store } from './records.mjs'

export { StoredRecord } from './records.mjs'

const { twin, clientId, clientSecret, baseUrl, stored, site: settings, providers } = env.SETTINGS
const transport = 'loopback_http'
const client = async () => new Client(await discover(twin, { transport }), { clientId, clientSecret })
const site = new Site({
  baseUrl, key: new Uint8Array(32).fill(7), transport, store: stored ? store : undefined,
  ...siteSettings({ site: settings, providers }, twin, client, 'openid read offline_access'),
})

export default {
  async fetch(request) {
    const { access, need } = JSON.parse(request.headers.get('x-visit'))
    const handled = await site.handle(request, { access, need: need && { acr: need.acr, maxAge: need.max_age, scope: [] } })
    return handled instanceof Response ? handled : new Response(null, { headers: { 'x-user': handled.user?.subject ?? '' } })
  },
}
