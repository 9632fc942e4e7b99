import { Site } from 'oauth-core/web'

export const site = Site.fromEnv({ scope: 'openid read offline_access', apiOrigins: [process.env.OAUTH_ISSUER] })
