// The page at the redirect URI: reads the authorization response, and redeems it. Its checks are in the core
// (flow/authorization/pending.rs).

import { prepare } from './client-from-config.js'
import { needPage, needScope } from './secure-context.js'
import { drop, find } from './pending.js'
import { deliver } from './popup.js'
import { run } from './driver.js'
import { begin, resume } from './session.js'
import { ready } from './wasm.js'

/** The results of callbacks, by client: components call again whenever they are mounted. */
const callbackResults = new Map()

/**
 * Removes the callback from the page's address and redeems it. Without a callback, this is
 * `restore`. In a popup, it passes the callback to the page that opened it.
 */
export async function handleCallback(config) {
  needPage()
  const callback = getCallbackUrl(config)
  const { provider, variables, issuer, clientId, redirectUri } = config
  const key = JSON.stringify([provider, variables, issuer, clientId, redirectUri])
  const previous = callbackResults.get(key)
  if (!callback && previous && (previous.session === undefined || previous.session.signedIn)) {
    return previous.promise
  }
  const result = { promise: callback ? redeem(config, callback) : restore(config) }
  callbackResults.set(key, result)
  // The code must not stay in the address bar, the history or a referrer, whether or not it can be redeemed.
  if (callback) history.replaceState(history.state, '', redirectUri)
  try {
    result.session = await result.promise
    return result.session
  } finally {
    if (!result.session && callbackResults.get(key) === result) callbackResults.delete(key)
  }
}

/**
 * The page's address, if it is an authorization response: its path is that of the redirect URI, and it contains
 * `state` with `code` or `error`, or a signed `response`. Any other query belongs to the page.
 */
function getCallbackUrl({ redirectUri, responseType, responseMode }) {
  let redirectUrl
  try {
    redirectUrl = new URL(redirectUri)
  } catch {
    // The core reports what is wrong with the redirect URI.
    return undefined
  }
  const pageUrl = new URL(location.href)
  if (pageUrl.origin !== redirectUrl.origin || pageUrl.pathname !== redirectUrl.pathname) return undefined
  // A redirect URI may have a query of its own.
  const ownParameters = [...redirectUrl.searchParams]
  if (!ownParameters.every(([name, value]) => pageUrl.searchParams.getAll(name).includes(value))) return undefined
  const isFragment = responseMode?.startsWith('fragment') ||
    (responseType === 'code id_token' && (responseMode ?? 'jwt') === 'jwt')
  const parameters = isFragment ? new URLSearchParams(pageUrl.hash.slice(1)) : pageUrl.searchParams
  const isAuthorizationResponse = parameters.has('state') && (parameters.has('code') || parameters.has('error'))
  // A signed response contains all parameters.
  const isSigned = responseMode?.endsWith('jwt') && parameters.has('response')
  return isAuthorizationResponse || isSigned ? pageUrl.href : undefined
}

async function redeem(config, callback) {
  const wasm = await ready(config.wasm)
  const { own: ownFlow, any } = find(callback, wasm.recognizes)
  // A flow is used once, even if redeeming fails. A callback that belongs to no flow of this tab removes none.
  if (ownFlow) drop(ownFlow.key)
  else if (await deliver(callback)) return null
  config.observe?.((await import('./observe.js')).shownPage('callback', callback))
  if (!ownFlow && !any) throw wasm.unknownCallbackError()
  const { pending, server: stored, returnTo } = ownFlow ?? any
  const prepared = await prepare(config, stored)
  const end = await run(prepared.client.redeem(pending, callback), prepared.config)
  const { claims } = end
  return begin({ ...prepared, returnTo, claims }, end.tokens())
}

/**
 * The session that another tab of this client holds, or that this tab kept; or `null`. With `wait`,
 * the session of the next sign-in in another tab, if there is none yet.
 */
export async function restore(config, { wait = false, signal } = {}) {
  needScope()
  const prepared = await prepare(config)
  return resume(prepared, wait ? { signal } : undefined)
}
