// A connection is what the SDK takes, by the SDK's own types.
import type { OAuthClientProvider } from '@modelcontextprotocol/sdk/client/auth.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { ResourceConnection } from 'oauth-core'

const connection = new ResourceConnection('https://mcp.example/mcp', { clientName: 'Notes' })
export const provider: OAuthClientProvider = connection.authProvider
export const transports = [
  new StreamableHTTPClientTransport(new URL(connection.url), { authProvider: connection.authProvider }),
  new StreamableHTTPClientTransport(new URL(connection.url), { fetch: connection.fetch }),
]
// @ts-expect-error A connection by itself is none.
export const none: OAuthClientProvider = connection
