// Clients that somebody else has configured: by a client file, or by environment variables.

import type { ClientOptions } from './index.cjs'

/**
 * What else a client is made with. Its id, its credentials and its redirect URIs are those of the file or the environment.
 */
export interface ConfiguredOptions
  extends Omit<ClientOptions, 'clientId' | 'clientSecret' | 'clientAuth' | 'registered'> {
  /** Looked into in place of `process.env`: of a Worker, its `env`, where what is no text, number or flag is left alone. */
  env?: object | undefined
  /** Plain http is allowed to a literal loopback address, for tests. */
  transport?: 'https' | 'loopback_http' | undefined
  /** Gives up the search for an issuer's metadata. */
  signal?: AbortSignal | undefined
}
