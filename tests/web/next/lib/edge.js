// A site in the edge runtime, where there are no addon and no store of the package: sessions are sealed cookies, of their own name.
import { Site } from 'oauth-core/web/next'

const { OAUTH_STORE: _, ...env } = process.env
export const site = Site.fromEnv({ env, prefix: '/edge/auth', name: 'edge-session' })
