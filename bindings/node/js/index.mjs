// One implementation for both module systems: an error caught here is an instance there.
import core from './index.cjs'

export const {
  Client,
  Denied,
  Exchange,
  FileStore,
  Flow,
  Keeper,
  Lost,
  Malformed,
  Misuse,
  OAuthError,
  RedisStore,
  Server,
  TokenSource,
  Tokens,
  Untrusted,
  discover,
  discovery,
  keep,
  login,
  openBrowser,
  provider,
  providers,
  run,
} = core
