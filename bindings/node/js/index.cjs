'use strict'

const { OAuthError, Denied, Malformed, Untrusted, Lost, Misuse } = require('./errors.cjs')
const { Server, Client, provider, providers, discover, discovery, login, openBrowser } = require('./client.cjs')
const { Exchange, run } = require('./exchange.cjs')
const { keep } = require('./keep.cjs')
const { Keeper } = require('./keeper.cjs')
const { TokenSource } = require('./source.cjs')
const { FileStore, PostgresStore, RedisStore, Sealed } = require('./stores.cjs')
const { Tokens, Flow } = require('./tokens.cjs')

module.exports = {
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
  PostgresStore,
  RedisStore,
  Sealed,
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
}
