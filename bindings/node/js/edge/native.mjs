// What the addon is elsewhere: classes of WebAssembly, and on top of them what waits for requests and stores.
import * as wasm from '../../edge/oauth_core_edge.mjs'
import { keysOver } from './keys.cjs'
import { NativeSite, asked } from './visit.cjs'

export {
  NativeApi, NativeDpopKey, NativeExchange, NativeFlow, NativeKeeper, NativeKey, NativeServer, NativeSettings, NativeTokens,
  NativeVerifier,
  discovery, fingerprint, lateError, missingVariablesError, notSupportedError, outline, overdueError, providerNames,
  readFields, requestKey, stepUp, webSetupError,
} from '../../edge/oauth_core_edge.mjs'

const elsewhere = (what) => new Error(wasm.elsewhereError(what))

/** Whatever is asked of it, it is not there. */
const absent = (what) => new Proxy(class {}, {
  construct() { throw elsewhere(what) },
  get: () => () => { throw elsewhere(what) },
})

export const NativeAssertionSource = absent('an assertion function')
export const NativeConnection = absent('a ResourceConnection')
export const NativeKeys = absent('a store that is sealed')
export const NativeNetwork = absent('a Network')
export const codeTurn = absent('a login with a browser').turn
export const listen = absent('a login with a browser').listen
export const openBrowser = absent('a browser').open
export const keyOfKeyring = absent('a keyring').key
export const postgresSchema = absent('PostgreSQL').schema
wasm.NativeSettings.fromFile = absent('a file').open

const keys = keysOver(wasm, elsewhere)
export const { publicJwks } = keys

// WebCrypto makes keys, and exports them, later than these are called.
Object.assign(wasm.NativeDpopKey, keys.dpop, { generate: absent('DpopKey.generate, unlike DpopKey.open,').now })
wasm.NativeDpopKey.prototype.privatePem = absent('the PEM of a DpopKey').now

export class NativeClient {
  constructor(server, options, assertion, settings) {
    const { assertion: how, ...plain } = options
    if (how?.method === 'private_key_jwt') return keys.clientOf(server, plain, how)
    if (how?.method === 'client_secret_jwt') return keys.macClientOf(server, plain, how)
    if (how !== undefined) throw elsewhere('a client that proves in this way who it is')
    return settings === undefined ? wasm.NativeClient.of(server, options) : wasm.NativeClient.ofSettings(server, options, settings, keys.hold)
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

/** A store that is written in JavaScript. */
export class NativeStore {
  #handler

  constructor(handler) {
    this.#handler = handler
  }

  static foreign(handler) {
    return new NativeStore(handler)
  }

  dpopKey(name, alg) {
    return keys.dpopKeyIn(this, name, alg)
  }

  /** What it answers, or `{ why }` or `{ failure }`. */
  ask(question) {
    return asked('store', this.#handler, question)
  }
}
for (const kind of ['file', 'memory', 'postgres', 'redis', 'sqlite']) NativeStore[kind] = absent(`a store of this package (${kind})`).open

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
