// Replaces the native addon in edge runtimes: WebAssembly classes, and JavaScript classes for what waits for I/O.
import * as wasm from '../../edge/oauth_core_edge.mjs'
import { keysOver } from './keys.cjs'
import { storesOver } from './store.cjs'
import { NativeSite } from './visit.cjs'

export {
  NativeApi, NativeContexts, NativeDpopKey, NativeExchange, NativeFlow, NativeFrontChannelLogout, NativeKeeper, NativeKey, NativeKeyUse, NativeKeys, NativeServer, NativeSettings, NativeSignIn, NativeTokens,
  NativeVerifier,
  checkLogoutReturn, claimsSources, deadlockError, discovery, distinguishingStepUp, fingerprint, isOver, lateError, listedStepUps, loginOf, missingVariablesError, notSupportedError,
  outline, overdueError, providerNames, readFields, requestKey, stepUp, userAgent, userClaims, webSetupError,
} from '../../edge/oauth_core_edge.mjs'

const notSupportedHere = (feature) => new Error(wasm.unsupportedRuntimeError(feature))

/** A class that does not exist in edge runtimes: every use throws. */
const absent = (feature) => new Proxy(class {}, {
  construct() { throw notSupportedHere(feature) },
  get: () => () => { throw notSupportedHere(feature) },
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

const keys = keysOver(wasm, notSupportedHere)
export const { checkAssertion, publicJwks } = keys

const { toPem: pemOf, ...keyConstructors } = keys.dpop
Object.assign(wasm.NativeDpopKey, keyConstructors)
wasm.NativeDpopKey.prototype.privatePem = function () { return pemOf(this) }

// A request of a Worker cannot wait for another request's call of a key service.
const noService = absent('a key service')
Object.assign(wasm.NativeKeys, { ofSource: noService.asked })
wasm.NativeKeys.prototype.alsoOfSource = noService.asked

export class NativeClient {
  constructor(server, options, assertion, settings, used) {
    const { assertion: authSettings, ...plain } = options
    if (authSettings?.method === 'private_key_jwt') return keys.clientOf(server, plain, authSettings, used)
    if (authSettings?.method === 'client_secret_jwt') return keys.macClientOf(server, plain, authSettings)
    if (authSettings !== undefined) throw notSupportedHere('this method of client authentication')
    if (settings !== undefined) return wasm.NativeClient.ofSettings(server, options, settings, keys.hold, keys.holdSecret)
    const { clientSecret } = options
    return wasm.NativeClient.of(server, options, clientSecret === undefined ? undefined : keys.holdSecret(clientSecret))
  }
}

/** A token that is never renewed. Edge runtimes have neither files nor environment tokens. */
export class NativeFixedToken {
  #tokens

  constructor(tokens) {
    this.#tokens = tokens
  }

  static text(token, end) {
    return new NativeFixedToken(wasm.NativeTokens.bearer(token, end))
  }

  /** The token; throws if it is the one that was refused. */
  read(refused) {
    const now = Date.now() / 1000
    if (refused === undefined) this.#tokens.checkFixed(now)
    else this.#tokens.checkFixedBeside(now, refused)
    return this.#tokens
  }
}
for (const origin of ['env', 'file']) NativeFixedToken[origin] = absent(`a token of ${origin === 'env' ? 'the environment' : 'a file'}`).read

export const { NativeStore } = storesOver(wasm)
NativeStore.prototype.dpopKey = function (name, alg) { return keys.dpopKeyIn(this, name, alg) }
for (const kind of ['at', 'file', 'memory', 'postgres', 'redis', 'sqlite']) NativeStore[kind] = absent(`a store of this package (${kind})`).open

export class NativeSiteSetup {
  #handle

  constructor(handle) {
    this.#handle = handle
  }

  static of(key) {
    return new NativeSiteSetup(wasm.NativeSiteSetup.of(key))
  }

  static forTests() {
    return new NativeSiteSetup(wasm.NativeSiteSetup.forTests())
  }

  also(key) {
    this.#handle.also(key)
  }

  provider(client, settings) {
    this.#handle.provider(client, settings)
  }

  later(settings) {
    this.#handle.later(settings)
  }

  /** Hands over the WebAssembly object, which can be used only once. */
  intoHandle() {
    return this.#handle
  }

  site(settings, admit, store) {
    return new NativeSite(this.#handle.site(settings, store !== undefined), { admit, store, overdue: wasm.overdueError })
  }
}
