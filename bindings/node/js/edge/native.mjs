// Replaces the addon: classes of WebAssembly, and on top of them those that wait for requests and stores.
import * as wasm from '../../edge/oauth_core_edge.mjs'
import { keysOver } from './keys.cjs'
import { storesOver } from './store.cjs'
import { NativeSite } from './visit.cjs'

export {
  NativeApi, NativeContexts, NativeDpopKey, NativeExchange, NativeFlow, NativeFrontChannelLogout, NativeKeeper, NativeKey, NativeKeyUse, NativeKeys, NativeServer, NativeSettings, NativeSignIn, NativeTokens,
  NativeVerifier,
  checkLogoutReturn, claimsSources, discovery, fingerprint, lateError, missingVariablesError, notSupportedError, outline, overdueError, providerNames,
  readFields, requestKey, stepUp, userAgent, userClaims, webSetupError,
} from '../../edge/oauth_core_edge.mjs'

const elsewhere = (what) => new Error(wasm.elsewhereError(what))

/** A class that does not exist in edge runtimes: every use throws. */
const absent = (what) => new Proxy(class {}, {
  construct() { throw elsewhere(what) },
  get: () => () => { throw elsewhere(what) },
})

export const NativeAssertionSource = absent('an assertion function')
export const NativeConnection = absent('a ResourceConnection')
export const NativeNetwork = absent('a Network')
export const codeTurn = absent('a login with a browser').turn
export const listen = absent('a login with a browser').listen
export const openBrowser = absent('a browser').open
export const keyOfKeyring = absent('a keyring').key
export const postgresSchema = absent('PostgreSQL').schema
wasm.NativeSettings.fromFile = absent('a file').open

const keys = keysOver(wasm, elsewhere)
export const { publicJwks } = keys

const { pemOf, ...waysToKeys } = keys.dpop
Object.assign(wasm.NativeDpopKey, waysToKeys)
wasm.NativeDpopKey.prototype.privatePem = function () { return pemOf(this) }

// A request of a Worker cannot wait for another request's call of a key service.
const noService = absent('a key service')
Object.assign(wasm.NativeKeys, { ofSource: noService.asked })
wasm.NativeKeys.prototype.alsoOfSource = noService.asked

export class NativeClient {
  constructor(server, options, assertion, settings, used) {
    const { assertion: how, ...plain } = options
    if (how?.method === 'private_key_jwt') return keys.clientOf(server, plain, how, used)
    if (how?.method === 'client_secret_jwt') return keys.macClientOf(server, plain, how)
    if (how !== undefined) throw elsewhere('a client that proves in this way who it is')
    if (settings !== undefined) return wasm.NativeClient.ofSettings(server, options, settings, keys.hold, keys.holdSecret)
    const { clientSecret } = options
    return wasm.NativeClient.of(server, options, clientSecret === undefined ? undefined : keys.holdSecret(clientSecret))
  }
}

/** One token, which is never renewed. There are no files here. */
export class NativeFixedToken {
  #tokens

  constructor(tokens) {
    this.#tokens = tokens
  }

  static text(token, end) {
    return new NativeFixedToken(wasm.NativeTokens.bearer(token, end))
  }

  /** The token, and not the one that was refused. */
  read(refused) {
    const now = Date.now() / 1000
    if (refused === undefined) this.#tokens.checkFixed(now)
    else this.#tokens.checkFixedBeside(now, refused)
    return this.#tokens
  }
}
for (const place of ['env', 'file']) NativeFixedToken[place] = absent(`a token of ${place === 'env' ? 'the environment' : 'a file'}`).read

export const { NativeStore } = storesOver(wasm)
NativeStore.prototype.dpopKey = function (name, alg) { return keys.dpopKeyIn(this, name, alg) }
for (const kind of ['at', 'file', 'memory', 'postgres', 'redis', 'sqlite']) NativeStore[kind] = absent(`a store of this package (${kind})`).open

export class NativeSiteSetup {
  #known

  constructor(known) {
    this.#known = known
  }

  static of(key) {
    return new NativeSiteSetup(wasm.NativeSiteSetup.of(key))
  }

  static forTests() {
    return new NativeSiteSetup(wasm.NativeSiteSetup.forTests())
  }

  also(key) {
    this.#known.also(key)
  }

  provider(client, given) {
    this.#known.provider(client, given)
  }

  later(given) {
    this.#known.later(given)
  }

  /** The setup itself, which is gone with it: it was made for one question. */
  given() {
    return this.#known
  }

  site(settings, admit, store) {
    return new NativeSite(this.#known.site(settings, store !== undefined), { admit, store, overdue: wasm.overdueError })
  }
}
