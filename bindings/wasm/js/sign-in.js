// Begins a sign-in, by redirect or in a popup. The response is handled in callback.js.

import { generateFlowValues } from './random.js'
import { prepare } from './client-from-config.js'
import { setupError } from './errors.js'
import { beginAuthorization } from './ops.js'
import { needPage } from './secure-context.js'
import { keep } from './pending.js'
import * as popups from './popup.js'
import { run } from './driver.js'
import { begin, getTokens } from './session.js'

/**
 * Signs the user in. With a redirect, the browser leaves the page, and `handleCallback` continues; with a popup,
 * returns the session.
 */
export async function signIn(settings, options = {}) {
  const { mode = 'redirect', returnTo, signal, session, ...request } = options
  const tokens = session && getTokens(session)
  needPage()
  // A popup opened later than the click would be blocked.
  const popup = mode === 'popup' ? popups.open() : undefined
  try {
    const prepared = await prepare(settings, undefined, options)
    const { wasm, server, client, config } = prepared
    if (popup === null) throw setupError('the browser blocked the popup', 'page.popup_blocked')
    const { origin } = new URL(config.redirectUri)
    // A page of another origin could read neither this page's storage nor its messages.
    if (origin !== location.origin) {
      throw setupError(`the redirect URI is at ${origin}, and this page at ${location.origin}`, 'redirect_uri.other_origin')
    }
    if (returnTo !== undefined) wasm.checkReturnTarget(returnTo, origin)
    const { redirectUri, responseType, responseMode, resource, audience, tokenExtra } = config
    const fixed = { redirectUri, responseType, responseMode, resource, audience, tokenExtra }
    const exchange = beginAuthorization(client, await generateFlowValues(), { ...request, tokens, ...fixed })
    const started = (await run(exchange, { ...config, signal })).authorization()
    const { url, pending, state, warnings } = started
    started.free()
    config.observe?.({ ...(await import('./observe.js')).shownPage('authorize', url), warnings })
    if (!popup) {
      keep(state, { pending, server: server.toJson(), returnTo })
      location.assign(url)
      return await new Promise(() => {})
    }
    const isOwnCallback = (callback) => wasm.recognizes(pending, callback)
    const callback = await popups.waitForCallback(popup, url, config.redirectUri, isOwnCallback, wasm, signal)
    config.observe?.((await import('./observe.js')).shownPage('callback', callback))
    const end = await run(client.redeem(pending, callback), { ...config, signal })
    const { claims } = end
    return begin({ ...prepared, returnTo, claims }, end.tokens())
  } catch (error) {
    popup?.close()
    throw error
  }
}
