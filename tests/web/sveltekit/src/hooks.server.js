import { Site } from 'oauth-core/web'

const { OAUTH_ISSUER: issuer, HELLO_RESPONSE_MODE: responseMode } = process.env
// Pages call it with a token that they never see.
const api = { twin: { url: `${issuer}/api`, methods: ['GET', 'POST'] } }
const site = Site.fromEnv({ scope: 'openid read offline_access', apiOrigins: [issuer], api, responseMode })

export const handle = site.sveltekit({ protect: { '/me': {}, '/fetch': {}, '/pay': { acr: ['mfa'] } } })
