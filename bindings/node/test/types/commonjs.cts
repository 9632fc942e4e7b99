// The types CommonJS sees.
import core = require('oauth-core')

export async function token(): Promise<string> {
  const client = new core.Client(core.provider('socios'), { clientId: 'id', clientSecret: 's' })
  const tokens: core.Tokens = await client.clientCredentials().token()
  return tokens.accessToken
}
