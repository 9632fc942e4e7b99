// The session that hooks show where the page keeps the tokens, without a server: loaded by the first call of a hook with a
// `config` (server-session.js). `host` has the state: `get()`, `set(state)`, and `failed(error)`, which throws it.

import { handleCallback, restore } from './callback.js'
import { OAuthError } from './errors.js'
import { signIn as begin } from './sign-in.js'
import { ready } from './wasm.js'

/** By host: the `session`, what is `loading` it, and what stops `waiting` for a sign-in in another tab. */
const states = new WeakMap()
const getState = (host) => states.get(host) ?? states.set(host, {}).get(host)

/** Handles the callback if there is one. Otherwise, restores the session, or waits for a sign-in in another tab. */
export async function refresh(host, config) {
  const state = getState(host)
  await (state.loading ??= load(host, config).finally(() => (state.loading = undefined)))
  return host.get()
}

async function load(host, config) {
  const state = getState(host)
  if (state.session?.signedIn) return
  try {
    show(host, config, await handleCallback(config))
  } catch (error) {
    wait(host, config)
    host.failed(error)
  }
}

/** Shows a session, and what becomes of it; without one, that of the next sign-in in another tab. */
function show(host, config, session) {
  const state = getState(host)
  if (session && session === state.session) return
  state.session = session ?? undefined
  state.waiting?.abort()
  if (!session) {
    host.set({})
    return wait(host, config)
  }
  session.subscribe(() => session === state.session && !session.signedIn && show(host, config))
  host.set({ user: session.claims, provider: config.provider, session })
  if (session.returnTo !== undefined) navigateWithoutLoading(session.returnTo)
}

function wait(host, config) {
  const state = getState(host)
  state.waiting?.abort()
  const { signal } = (state.waiting = new AbortController())
  const showIfActive = (session) => (signal.aborted ? undefined : show(host, config, session))
  // Why nothing can be restored is an error of `refresh`, which tries again.
  restore(config, { wait: true, signal }).then(showIfActive, () => {})
}

/** Notifies routers as the browser's back button does: loading the page again would lose the tokens. */
function navigateWithoutLoading(to) {
  history.replaceState(null, '', to)
  dispatchEvent(new PopStateEvent('popstate', { state: null }))
}

/** Signs in by redirect, and then returns to this page; or in a popup. */
export async function signIn(host, config, { mode, returnTo = mode === 'popup' ? undefined : currentPath(), ...options } = {}) {
  const state = getState(host)
  // Otherwise the waiting session and the new one would both stay open.
  state.waiting?.abort()
  try {
    const stepUpOptions = options.stepUp && { session: state.session }
    show(host, config, await begin(config, { scope: 'openid', mode, returnTo, ...options, ...stepUpOptions }))
  } catch (error) {
    if (!state.session?.signedIn) wait(host, config)
    host.failed(error)
  }
}

const currentPath = () => location.pathname + location.search + location.hash

/** Signs out in all tabs, and at the server if it can do that; it sends the user to `returnTo`. */
export async function signOut(host, config, { returnTo = '/' } = {}) {
  try {
    const wasm = await ready(config.wasm)
    wasm.checkReturnTarget(returnTo, location.origin)
    const returnUrl = new URL(returnTo, location.origin)
    const { session } = getState(host)
    if (!session?.signedIn) return location.assign(returnUrl)
    const next = atServer(session, returnUrl)
    try {
      await session.signOut()
    } finally {
      // The page has no tokens any more, regardless of what the server said of their revocation.
      location.assign(next)
    }
  } catch (error) {
    host.failed(error)
  }
}

function atServer(session, returnUrl) {
  try {
    return session.endSessionUrl({ postLogoutRedirectUri: returnUrl })
  } catch (error) {
    if (error instanceof OAuthError && error.code === 'endpoint.missing') return returnUrl
    throw error
  }
}

/** `fetch` with the token. */
export async function fetch(host, config, input, init) {
  // Why nothing could be restored is the hook's `error`.
  if (host.get().isLoading) await refresh(host, config).catch(() => {})
  const { session } = getState(host)
  if (!session) throw (await ready(config.wasm)).signedOutError()
  return session.fetch(input, init)
}
