// A signed-in person: tokens that stay fresh, and stay in memory.

import { random } from './chance.js'
import { origins } from './config.js'
import { DeniedError, OAuthError } from './errors.js'
import { run } from './run.js'
import { Alone, Tabs } from './tabs.js'

/** A token with less than this many seconds to live is refreshed before it is used. */
const LEEWAY = 30
const KEPT = 'oauth-core:session:'
const now = () => Date.now() / 1000

/** The tokens of one sign-in. Made by `signIn`, `handleCallback` and `restore`. */
export class Session {
  #context
  #resource
  #tabs
  #tokens
  /** Which sign-in this is, and how often its tokens were renewed: what tabs compare. */
  #sid
  #serial
  #renewing

  constructor(context) {
    this.#context = context
    const { wasm, server, config, name } = context
    this.#resource = new wasm.Resource(server, origins(config, server))
    const share = (asked) => this.#share(asked)
    const adopt = (given) => this.#adopt(given)
    const ended = (sid) => sid === this.#sid && this.#forget()
    this.#tabs = config.tabs === false ? new Alone() : new Tabs(name, { share, adopt, ended })
  }

  static async of(context, tokens) {
    const session = new Session(context)
    if (tokens) session.#set(tokens, random(), 0)
    else session.#adopt(session.#kept() ?? (await session.#tabs.any()))
    if (session.signedIn) return session
    session.#tabs.close()
    return null
  }

  /** Whether there are tokens: not after `revoke` and `signOut`, in whichever tab. */
  get signedIn() {
    return this.#tokens !== undefined
  }

  /** What was granted, separated by spaces. */
  get scope() {
    return this.#live().scope
  }

  /** When the access token ends; `undefined` if the server named no lifetime. */
  get expiresAt() {
    const end = this.#live().expiresAt
    return end === undefined ? undefined : new Date(end * 1000)
  }

  /** The ID Token as it came: unverified, so of no use but to be verified. */
  get idToken() {
    return this.#live().idToken
  }

  /** An access token that is fresh, as far as can be known. */
  async token() {
    const tokens = this.#live()
    const leeway = tokens.refreshable ? LEEWAY : 0
    if (tokens.freshness(now(), leeway) === 'stale') await this.#renew(tokens.accessToken)
    return this.#live().accessToken
  }

  /** `fetch` with the token: to the allowed origins only, and once more after a 401. */
  async fetch(input, init) {
    const { wasm, config } = this.#context
    const request = new Request(input, { ...init, redirect: 'manual' })
    const token = await this.token()
    const reply = await this.#send(request.clone())
    const challenge = reply.headers.get('www-authenticate')
    const verdict = wasm.Resource.verdict(reply.status || 302, challenge ? [challenge] : [])
    if (verdict !== 'renew' || !this.#live().refreshable) return reply
    config.observe?.({ kind: 'renew', why: `HTTP ${reply.status}` })
    await this.#renew(token)
    return this.#send(request)
  }

  /** Asks the server to forget the tokens; they are gone here in any case, in every tab. */
  async revoke() {
    const { client, config } = this.#context
    const tokens = this.#live()
    try {
      await run(client.revoke(tokens), config)
    } finally {
      this.#tabs.end(this.#sid)
      this.#forget()
    }
  }

  /** Ends the session in every tab, and at the server if it can be asked and answers. */
  async signOut() {
    try {
      await this.revoke()
    } catch (error) {
      if (!(error instanceof OAuthError)) throw error
    }
  }

  async #send(request) {
    const { wasm, config } = this.#context
    const { url } = request
    const header = this.#resource.authorization(url, [...request.headers].flat(), this.#live())
    request.headers.set('authorization', header)
    const bare = url.split(/[?#]/)[0]
    config.observe?.({ kind: 'api', method: request.method, url: bare })
    const reply = await fetch(request)
    // Where it leads is hidden from a page, so it cannot be known whether the token may go there.
    if (reply.type === 'opaqueredirect') throw wasm.redirectError()
    config.observe?.({ kind: 'api-response', status: reply.status })
    return reply
  }

  /** Replaces the access token `used`, unless this or another tab has done so meanwhile. */
  #renew(used) {
    this.#renewing ??= this.#tabs
      .exclusive(async () => {
        const asked = { sid: this.#sid, serial: this.#serial }
        this.#adopt(await this.#tabs.newer(asked))
        const tokens = this.#live()
        if (tokens.accessToken !== used) return
        const renewed = await this.#refreshed(tokens)
        this.#set(renewed, this.#sid, this.#serial + 1)
        this.#tabs.spread(this.#share({}))
      })
      .finally(() => {
        this.#renewing = undefined
      })
    return this.#renewing
  }

  async #refreshed(tokens) {
    const { client, config } = this.#context
    try {
      return (await run(client.refresh(tokens), config)).tokens()
    } catch (error) {
      // The grant is gone: asking again with the same token would only be refused again.
      if (error instanceof DeniedError && error.advice === 'reauthorize') this.#forget()
      throw error
    }
  }

  /** What another tab gets, if it is behind. */
  #share({ sid, serial }) {
    const isBehind = sid === undefined || (sid === this.#sid && serial < this.#serial)
    if (!this.#tokens || !isBehind) return undefined
    return { sid: this.#sid, serial: this.#serial, tokens: this.#tokens.toJson() }
  }

  /** Takes over another tab's tokens, if they are newer than our own. */
  #adopt(share) {
    if (!share) return
    const isOurs = this.#sid === undefined || this.#sid === share.sid
    if (!isOurs || share.serial <= (this.#serial ?? -1)) return
    const { wasm, config } = this.#context
    this.#set(wasm.Tokens.fromJson(share.tokens), share.sid, share.serial)
    config.observe?.({ kind: 'tab', what: 'took over the tokens of another tab' })
  }

  #set(tokens, sid, serial) {
    const { config, name } = this.#context
    this.#tokens = tokens
    this.#sid = sid
    this.#serial = serial
    if (config.storage === 'session') {
      sessionStorage.setItem(KEPT + name, JSON.stringify(this.#share({})))
    }
  }

  #kept() {
    const { config, name } = this.#context
    const text = config.storage === 'session' ? sessionStorage.getItem(KEPT + name) : null
    return text ? JSON.parse(text) : undefined
  }

  #live() {
    if (!this.#tokens) throw this.#context.wasm.signedOutError()
    return this.#tokens
  }

  #forget() {
    const { config, name } = this.#context
    if (config.storage === 'session') sessionStorage.removeItem(KEPT + name)
    this.#tokens = undefined
    this.#tabs.close()
    config.observe?.({ kind: 'end' })
  }
}

/** The session of a fresh sign-in. */
export const begin = (context, tokens) => Session.of(context, tokens)

/** The session that this tab kept or another tab holds; or `null`. */
export const resume = (context) => Session.of(context, undefined)
