'use strict'

const { OAuthError, Denied, Malformed, Untrusted, Lost, Misuse } = require('./errors.cjs')
const { Api } = require('./api.cjs')
const { Client, login, openBrowser } = require('./client.cjs')
const { Exchange, run } = require('./exchange.cjs')
const { TokenState } = require('./ops.cjs')
const { FixedToken, fixedToken } = require('./fixed.cjs')
const { drain, keep } = require('./keep.cjs')
const { Keeper } = require('./keeper.cjs')
const { Network } = require('./network.cjs')
const { Server, discover, discovery, provider, providerFile, providers } = require('./server.cjs')
const { Sessions } = require('./sessions.cjs')
const { Key } = require('./keys.cjs')
const { GrantSource } = require('./source.cjs')
const { FileStore, Memory, PostgresStore, RedisStore, Sealed, SqliteStore } = require('./stores.cjs')
const { Tokens, Flow } = require('./tokens.cjs')

module.exports = {
  Api,
  Client,
  Denied,
  Exchange,
  FileStore,
  FixedToken,
  Flow,
  GrantSource,
  Keeper,
  Key,
  Lost,
  Malformed,
  Memory,
  Misuse,
  Network,
  OAuthError,
  PostgresStore,
  RedisStore,
  Sealed,
  Server,
  Sessions,
  SqliteStore,
  TokenState,
  Tokens,
  Untrusted,
  discover,
  discovery,
  drain,
  fixedToken,
  keep,
  login,
  openBrowser,
  provider,
  providerFile,
  providers,
  run,
}
