import { Site } from 'oauth-core/web/next'

export const site = Site.fromEnv({ scope: 'openid read offline_access', apiOrigins: [process.env.OAUTH_ISSUER ?? 'https://as.invalid'] })
