// A site on this machine whose provider is never called: for its behavior before and after a sign-in.
import { core } from './helper.mjs'

const { Site } = await import('oauth-core/web')

export const origin = 'http://localhost:3000'
const transport = 'loopback_http'
const endpoints = { authorization_endpoint: `${origin}/authorize`, token_endpoint: `${origin}/token`, jwks_uri: `${origin}/jwks` }
const server = core.Server.fromMetadata(origin, { issuer: origin, response_types_supported: ['code'], ...endpoints }, { transport })
const client = new core.Client(server, { clientId: 'web', clientSecret: 's'.repeat(32) })

/** The site below this path, with these settings. */
export const siteAt = (base = '', options = {}) => new Site({ baseUrl: `${origin}${base}`, key: 'testing', client, transport, ...options })
