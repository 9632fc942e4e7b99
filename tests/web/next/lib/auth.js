import { Site } from 'oauth-core/web/next'

const { OAUTH_ISSUER: issuer = 'https://as.invalid', OAUTH_STORE: store, HELLO_RESPONSE_MODE: responseMode } = process.env
// Pages call it with a token that they never see. While they are built, there is no store.
const api = store && { twin: { url: `${issuer}/api`, methods: ['GET', 'POST'] } }
export const site = Site.fromEnv({ scope: 'openid read offline_access', apiOrigins: [issuer], api, responseMode })
