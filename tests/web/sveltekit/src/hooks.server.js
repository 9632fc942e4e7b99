import { Site } from 'oauth-core/web'

const site = Site.fromEnv({ scope: 'openid read offline_access', apiOrigins: [process.env.OAUTH_ISSUER] })

export const handle = site.sveltekit({ protect: { '/me': {}, '/fetch': {}, '/pay': { acr: ['mfa'] } } })
