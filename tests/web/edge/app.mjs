// The application of the checks in any runtime: settings are plain data, handed over as JSON.
import { Client, discover } from 'oauth-core'
import { Refuse, Site } from 'oauth-core/web'
import { Hono } from 'hono'
import { admitFunctions, hono, standard } from '../../../bindings/node/test/web-fetch-apps.mjs'

/** What answers requests, with sessions in this store if there is one. */
export function handler({ framework, base, twin, clientId, clientSecret, rootPath, admit, ...settings }, store) {
  const transport = 'loopback_http'
  const key = new Uint8Array(32).fill(7)
  const siteOptions = {
    transport, scope: 'openid read offline_access', rootPath, apiOrigins: [twin], store, admit: admitFunctions({ Refuse })[admit], ...settings,
  }
  const env = {
    OAUTH_ISSUER: twin, OAUTH_CLIENT_ID: clientId, OAUTH_CLIENT_SECRET: clientSecret, OAUTH_BASE_URL: base,
    OAUTH_KEY: btoa(String.fromCharCode(...key)).replaceAll('/', '_').replaceAll('+', '-').replace(/=+$/, ''),
  }
  const client = async () => new Client(await discover(twin, { transport }), { clientId, clientSecret })
  // Both ways to make a site.
  const [site, make] = framework === 'Hono'
    ? [new Site({ ...siteOptions, baseUrl: base, key, client }), hono(Hono)]
    : [Site.fromEnv({ ...siteOptions, env }), standard]
  const handle = make(site, { api: `${twin}/api/echo` })
  return async (request) => {
    const url = new URL(request.url)
    const cut = url.pathname.startsWith(rootPath) ? new Request(request.url.replace(url.host + rootPath, url.host), request) : request
    try {
      return await handle(cut)
    } catch {
      return new Response('failed', { status: 500 })
    }
  }
}
