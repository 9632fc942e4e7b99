import { Client, discover } from 'oauth-core'
import { Site } from 'oauth-core/web/next'

const { BASE_URL: baseUrl = 'https://shop.example', ISSUER, CLIENT_ID: clientId, CLIENT_SECRET: clientSecret } = process.env
const transport = 'loopback_http'

export const site = new Site({
  baseUrl,
  key: new Uint8Array(32).fill(7),
  client: async () => new Client(await discover(ISSUER, { transport }), { clientId, clientSecret }),
  transport,
})
