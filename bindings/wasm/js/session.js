// The session of a signed-in user: tokens that are kept fresh, in memory and, if the page chose one, in a storage. A
// session at the page's server, without tokens here, is in server-session.js.

import { call } from './api.js'
import { random } from './random.js'
import { origins } from './client-from-config.js'
import { DeniedError, OAuthError } from './errors.js'
import { keep, moment } from './renewal.js'
import { revoke, userinfo } from './ops.js'
import { run } from './driver.js'
import { selectStorage } from './storage.js'
import { Alone, Tabs } from './tabs.js'
import { wait } from './caller-timeout.js'

const STORAGE_PREFIX = 'oauth-core:session:'
/** The tombstone of a removed record. */
const REMOVED = ''

/** The tokens of a session, for this package only. */
export let getTokens

/** The tokens of one sign-in. Made by `signIn`, `handleCallback` and `restore`. */
export class Session {
  #context
  #api
  #tabs
  /** The storage beside memory, if any. */
  #storage
  #keeper
  /** The id of this sign-in, and its record, which all tabs share. */
  #sid
  #entry
  #renewing
  #listeners = new Set()
  /** The access token and the snapshot that listeners got last. */
  #reported
  #snapshot

  constructor(context) {
    this.#context = context
    const { wasm, server, client, config, name } = context
    this.#storage = selectStorage(config)
    this.#api = wasm.Api.of(server, client, origins(config, server))
    const share = (query) => this.#share(query)
    const adopt = (shared) => this.#adopt(shared)
    const ended = (sid) => (sid === this.#sid ? this.#forget() : undefined)
    this.#tabs = config.tabs === false ? new Alone() : new Tabs(name, { share, adopt, ended })
  }

  static {
    getTokens = (session) => session.#keeper?.tokens()
  }

  static async of(context, tokens, waiting) {
    const session = new Session(context)
    if (tokens) await session.#begin(tokens)
    else await session.#adopt((await session.#stored()) ?? (await session.#tabs.any()))
    if (!session.signedIn && waiting) await session.#nextSignIn(waiting.signal)
    if (session.signedIn) return session
    session.#tabs.close()
    return null
  }

  /** Whether there are tokens: not after `revoke` or `signOut` in any tab. */
  get signedIn() {
    return this.#keeper?.tokens() !== undefined
  }

  /**
   * Calls `listener` after every change in any tab; returns a function that unsubscribes. Bound, like
   * `getSnapshot`, for React's `useSyncExternalStore`.
   */
  subscribe = (listener) => {
    const entry = { listener }
    this.#listeners.add(entry)
    return () => void this.#listeners.delete(entry)
  }

  /** The current state: the same object until it changes. */
  getSnapshot = () => {
    const summary = ({ scope, expiresAt }) => ({ signedIn: true, scope, expiresAt })
    this.#snapshot ??= Object.freeze(this.signedIn ? summary(this) : { signedIn: false })
    return this.#snapshot
  }

  /** The `returnTo` of the sign-in. */
  get returnTo() {
    return this.#context.returnTo
  }

  /** The granted scope, separated by spaces. */
  get scope() {
    return this.#live().scope
  }

  /** The permissions that were granted; `undefined` if the server says nothing. */
  get authorizationDetails() {
    const granted = this.#live().authorizationDetails()
    return granted === undefined ? undefined : JSON.parse(granted)
  }

  /** The requested permissions that were not granted. */
  missingAuthorizationDetails(requested) {
    return JSON.parse(this.#live().missingAuthorizationDetails(JSON.stringify(requested) ?? ''))
  }

  /** When the access token ends; `undefined` if the server named no lifetime. */
  get expiresAt() {
    const end = this.#live().expiresAt
    return end === undefined ? undefined : new Date(end * 1000)
  }

  /** The claims of the ID token, which the page of the sign-in verified. */
  get claims() {
    const { claims } = this.#context
    return claims === undefined ? undefined : JSON.parse(claims)
  }

  /** The ID token as received; its claims are in `claims`. */
  get idToken() {
    return this.#live().idToken
  }

  /** The claims of the UserInfo endpoint, whose `sub` is compared with that of the ID token. */
  async userinfo() {
    const { client, config } = this.#context
    const subject = this.claims?.sub
    const { claims } = await run(userinfo(client, { tokens: await this.#freshTokens(), subject }), config)
    return JSON.parse(claims)
  }

  /** The URL to which the page sends the user to be logged out at the server as well. */
  endSessionUrl({ postLogoutRedirectUri, state } = {}) {
    const returnUri = postLogoutRedirectUri && String(postLogoutRedirectUri)
    return new URL(this.#context.client.endSessionUrl(this.idToken, returnUri, state))
  }

  /** A fresh access token. Aborting a call does not stop a renewal in progress. */
  async token(options) {
    return (await wait(() => this.#freshTokens(), options, this.#context.wasm)).accessToken
  }

  /** `fetch` with the token: to the allowed origins only, repeated once after a 401, and as often as limits allow. */
  async fetch(input, init) {
    const { wasm, config } = this.#context
    const source = {
      token: () => this.#freshTokens(),
      renew: (refused) => this.#freshTokens(refused),
      refuse: (refused) => this.#keeper?.refuse(refused),
    }
    return call({ wasm, api: this.#api, source, config }, input, init)
  }

  /** Revokes the tokens at the server. They are removed in every tab, even if that fails. */
  async revoke() {
    const { client, config } = this.#context
    const { accessToken, refreshToken } = this.#live()
    const parameters = refreshToken === undefined
      ? { token: accessToken, tokenTypeHint: 'access_token' }
      : { token: refreshToken, tokenTypeHint: 'refresh_token' }
    try {
      await run(revoke(client, parameters), config)
    } finally {
      this.#tabs.end(this.#sid)
      await this.#forget()
    }
  }

  /** Ends the session in every tab, and revokes the tokens if the server supports and answers that. */
  async signOut() {
    try {
      await this.revoke()
    } catch (error) {
      if (!(error instanceof OAuthError)) throw error
    }
  }

  /** Tokens that are valid now, and not those that were `refused`. */
  async #freshTokens(refused) {
    this.#live()
    // The keeper does not check that the refused tokens are its own.
    const { wasm } = this.#context
    const refusedTokens = refused && wasm.Tokens.fromJson(refused.toJson())
    const decision = this.#keeper.ask(...moment(), refusedTokens)
    const { kind } = decision
    const tokens = decision.tokens()
    if (kind === 'renew' || kind === 'use_and_renew') this.#startRenewal()
    if (tokens) return tokens
    await this.#renewing
    return this.#live()
  }

  #startRenewal() {
    const renewing = this.#renew().finally(() => {
      this.#renewing = undefined
    })
    this.#renewing = renewing
    // No caller may be waiting for this renewal.
    renewing.catch(() => {})
  }

  async #renew() {
    const keeper = this.#keeper
    // A sign-out during the renewal has removed the record: tokens that arrive afterwards are revoked, and
    // not stored.
    const isSignedOut = () => this.#keeper !== keeper
    let loadedVersion = 0
    const store = {
      load: async () => {
        if (!isSignedOut()) await this.#adopt(await this.#tabs.newer(this.#currentVersion()))
        if (isSignedOut()) return { version: loadedVersion + 1, record: REMOVED }
        loadedVersion = this.#entry?.version ?? 0
        return this.#entry
      },
      save: async (record, version) => {
        const saved = isSignedOut() ? undefined : await this.#save(record, version)
        loadedVersion = saved ?? loadedVersion
        return isSignedOut() ? undefined : saved
      },
      // The keeper has been notified of the save.
      changed: () => this.#changed(),
      lease: () => (isSignedOut() ? undefined : this.#tabs.acquire()),
      giveBack: () => this.#tabs.release(),
    }
    try {
      await keep(keeper, store, this.#context.config)
    } catch (error) {
      if (isSignedOut()) throw this.#context.wasm.signedOutError()
      // The grant has ended: a request with the same token would be refused again.
      if (error instanceof DeniedError && error.advice === 'reauthorize') await this.#forget()
      throw error
    } finally {
      this.#tabs.release()
    }
  }

  async #save(record, version) {
    if ((this.#entry?.version ?? 0) !== version) return undefined
    await this.#storeEntry({ version: version + 1, record })
    this.#tabs.spread(this.#share({}))
    return version + 1
  }

  /** Stores the tokens of a new sign-in. */
  async #begin(tokens) {
    const { wasm, client } = this.#context
    this.#sid = random()
    this.#keeper = new wasm.Keeper(client, ...moment(), tokens)
    await this.#freshTokens()
    await this.#renewing
  }

  #currentVersion() {
    return { sid: this.#sid, version: this.#entry?.version ?? 0 }
  }

  /** The record for another tab, if that tab's is older. */
  #share({ sid, version }) {
    const isBehind = sid === undefined || (sid === this.#sid && version < this.#entry?.version)
    if (!this.#entry || !isBehind) return undefined
    return { sid: this.#sid, claims: this.#context.claims, ...this.#entry }
  }

  /** Takes over another tab's record, if it is newer than our own. */
  async #adopt(share) {
    if (typeof share?.record !== 'string') return
    const isThisSignIn = this.#sid === undefined || this.#sid === share.sid
    if (!isThisSignIn || share.version <= (this.#entry?.version ?? 0)) return
    const { wasm, client, config } = this.#context
    const { version, record } = share
    this.#keeper ??= new wasm.Keeper(client, ...moment())
    this.#keeper.learn(...moment(), version, record)
    this.#sid = share.sid
    this.#context.claims ??= share.claims
    await this.#storeEntry({ version, record })
    config.observe?.({ kind: 'tab', what: 'took over the tokens of another tab' })
    this.#changed()
  }

  async #storeEntry(entry) {
    this.#entry = entry
    await this.#storage?.setItem(STORAGE_PREFIX + this.#context.name, JSON.stringify(this.#share({})))
  }

  async #stored() {
    const text = await this.#storage?.getItem(STORAGE_PREFIX + this.#context.name)
    return text ? JSON.parse(text) : undefined
  }

  #live() {
    const tokens = this.#keeper?.tokens()
    if (!tokens) throw this.#context.wasm.signedOutError()
    return tokens
  }

  async #forget() {
    const { config, name } = this.#context
    this.#keeper = undefined
    this.#entry = undefined
    this.#tabs.close()
    const removed = this.#storage?.removeItem(STORAGE_PREFIX + name)
    config.observe?.({ kind: 'end' })
    this.#changed()
    await removed
  }

  /** Notifies listeners of new tokens. Other changes of the record, such as an attempt, are not reported. */
  #changed() {
    const [before, now] = [this.#reported, this.#keeper?.tokens()?.accessToken]
    if (before === now) return
    this.#reported = now
    this.#snapshot = undefined
    const kind = !now ? 'ended' : before ? 'renewed' : 'signed-in'
    for (const { listener } of [...this.#listeners]) {
      try {
        listener({ kind })
      } catch (error) {
        // An error of a listener must not stop a renewal.
        reportError(error)
      }
    }
  }

  /** Waits for a sign-in in another tab. */
  #nextSignIn(signal) {
    return new Promise((resolve, reject) => {
      const end = (settle, value) => {
        stop()
        signal?.removeEventListener('abort', abort)
        settle(value)
      }
      const stop = this.subscribe(() => end(resolve))
      const abort = () => {
        this.#tabs.close()
        end(reject, signal.reason)
      }
      signal?.addEventListener('abort', abort)
      if (signal?.aborted) abort()
    })
  }
}

/** The session of a new sign-in. */
export const begin = (context, tokens) => Session.of(context, tokens)

/** The session that this tab stored or another tab holds, or, if `waiting`, that of the next sign-in; or `null`. */
export const resume = (context, waiting) => Session.of(context, undefined, waiting)
