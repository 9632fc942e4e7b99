// Clients that are configured outside the program: by a client file, or by environment variables.

import type { ClientOptions } from './index.cjs'

/**
 * Further settings of a client. Its id, its credentials and its redirect URIs are those of the file or the environment.
 */
export interface ConfiguredOptions
  extends Omit<ClientOptions, 'clientId' | 'clientSecret' | 'clientAuth' | 'registered'> {
  /** Read in place of `process.env`, such as the `env` of a Worker; only its strings, numbers and booleans are read. */
  env?: object | undefined
  /** Plain http is allowed to a literal loopback address, for tests. */
  transport?: 'https' | 'loopback_http' | undefined
  /** Aborts the search for an issuer's metadata. */
  signal?: AbortSignal | undefined
}
