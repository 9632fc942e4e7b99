// The session at the server of this page (oauth-web), which keeps the tokens: no token and no WebAssembly is loaded here.
// With a `config`, page-session.js is loaded, and the page keeps them. What hooks return is documented in server-session.d.ts.

/** The CSRF header, which scripts of other origins cannot send without CORS (RFC 10017 section 6.1.3.3). */
const PROTECTION = ['x-csrf-protection', '1']
/** The longest delay that browsers support in timers, in milliseconds. */
const MAX_DELAY = 2 ** 31 - 1
/** Sent to other tabs before the sign-out reaches the server; they request the session after this many milliseconds. */
const LEAVING = { leaving: 5000 }
const SIGNED_OUT = Object.fromEntries(['user', 'provider', 'tenant', 'until', 'error', 'session'].map((name) => [name, undefined]))

const sessions = new Map()

/** The one session of all components with this server or this client. */
export function getSession({ prefix = '/auth', config } = {}) {
  const key = JSON.stringify({ prefix, ...config, storage: 0 })
  if (!sessions.has(key)) sessions.set(key, new ServerSession(prefix, config))
  return sessions.get(key)
}

/** Requests the session from the server, and is notified by other tabs of changes. */
export class ServerSession {
  #prefix
  #config
  #state = { ...SIGNED_OUT, isLoading: true }
  #pages = {}
  #listeners = new Set()
  #loading
  #channel
  #timer
  /** Bound, because hooks pass them on. */
  actions = {}

  constructor(prefix = '/auth', config) {
    this.#prefix = prefix
    this.#config = config
    const page = () => import('./page-session.js').catch((error) => this.failed(error))
    for (const name of ['refresh', 'signIn', 'signOut', 'fetch']) {
      this.actions[name] = config ? async (...args) => (await page())[name](this, config, ...args) : this[name].bind(this)
    }
  }

  /** The current state: the same object until it changes. */
  get = () => this.#state

  /** The first subscription requests the session. */
  subscribe = (listener) => {
    this.#listeners.add(listener)
    if (this.#listeners.size === 1) this.#open()
    return () => {
      if (this.#listeners.delete(listener) && this.#listeners.size === 0) this.#close()
    }
  }

  #open() {
    if (typeof BroadcastChannel !== 'undefined' && !this.#config) {
      this.#channel = new BroadcastChannel(`oauth-core${this.#prefix}`)
      this.#channel.onmessage = ({ data }) => {
        if (data?.leaving) return this.#signedOut(data.leaving)
        if (data !== this.#subject()) this.#loadOnce().catch(() => {})
      }
    }
    this.actions.refresh().catch(() => {})
  }

  #close() {
    this.#channel?.close()
    this.#channel = undefined
    clearTimeout(this.#timer)
  }

  /** Another tab signs out: so does this one. An answer that is under way may be older. */
  async #signedOut(pause) {
    await this.#loading?.catch(() => {})
    if (!this.#channel) return
    this.set({})
    this.#timer = setTimeout(() => this.refresh().catch(() => {}), pause)
  }

  async refresh() {
    await this.#loadOnce()
    this.#channel?.postMessage(this.#subject())
    return this.#state
  }

  /** Concurrent calls share one request. */
  #loadOnce() {
    return (this.#loading ??= this.#load().finally(() => {
      this.#loading = undefined
    }))
  }

  async #load() {
    try {
      const reply = await globalThis.fetch(`${this.#prefix}/session`, { headers: [PROTECTION], cache: 'no-store' })
      if (!reply.ok) throw new Error(`${this.#prefix}/session: ${reply.status}`)
      const { signed_in: isSignedIn, user, provider, tenant, until, login, logout } = await reply.json()
      this.#pages = { login, logout }
      this.set(isSignedIn ? { user, provider, tenant, until: new Date(until * 1000) } : {})
    } catch (error) {
      this.failed(error)
    }
  }

  set(state) {
    const { until } = (this.#state = { ...SIGNED_OUT, ...state, isLoading: false })
    clearTimeout(this.#timer)
    if (until && this.#listeners.size > 0) {
      const pause = Math.min(Math.max(until - Date.now(), 0) + 1000, MAX_DELAY)
      this.#timer = setTimeout(() => this.refresh().catch(() => {}), pause)
    }
    for (const listener of [...this.#listeners]) listener()
  }

  /** A network error does not mean that the user is signed out. */
  failed(error) {
    this.set({ ...this.#state, error })
    throw error
  }

  #subject() {
    return this.#state.user?.sub
  }

  signIn({ returnTo = location.pathname + location.search, provider, loginHint } = {}) {
    location.assign(this.#page('login', { return_to: returnTo, provider, login_hint: loginHint }))
  }

  signOut({ returnTo = '/' } = {}) {
    const form = document.createElement('form')
    Object.assign(form, { method: 'post', action: this.#page('logout', { return_to: returnTo }) })
    document.body.append(form)
    this.#channel?.postMessage(LEAVING)
    form.submit()
  }

  #page(name, parameters) {
    const page = new URL(this.#pages[name] ?? `${this.#prefix}/${name}`, location.href)
    for (const [name, value] of Object.entries(parameters)) if (value !== undefined) page.searchParams.set(name, value)
    return page.href
  }

  async fetch(input, init) {
    const request = new Request(input, init)
    if (new URL(request.url).origin !== location.origin) throw new TypeError('this fetch is for the page’s own origin')
    request.headers.set(...PROTECTION)
    const reply = await globalThis.fetch(request)
    if (reply.status === 401) {
      this.set({})
      this.#channel?.postMessage(undefined)
    }
    return reply
  }
}
