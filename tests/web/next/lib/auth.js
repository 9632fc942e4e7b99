import { Site } from 'oauth-core/web/next'

export const site = Site.fromEnv({ transport: 'loopback_http' })
