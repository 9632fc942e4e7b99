'use strict'

// RP-initiated logout at the server (OpenID Connect), and logout requests that arrive through the browser.

const { inspect } = require('#host')
const native = require('#native')
const { callNative } = require('./errors.cjs')
const { checkOptions } = require('./options.cjs')
const { checkText, textOrUrl } = require('./paths.cjs')

/** The parameters of an end session request, as the native half expects them. */
function endSessionParameters(call, options) {
  const { idTokenHint, logoutHint, postLogoutRedirectUri, state, uiLocales } = checkOptions(call, options)
  const uri = postLogoutRedirectUri === undefined ? undefined : String(postLogoutRedirectUri)
  return { idTokenHint, logoutHint, postLogoutRedirectUri: uri, state, uiLocales }
}

/** The end session request as an HTML form. `console.log` does not show its fields. */
class LogoutForm {
  constructor(client, options) {
    const { action, fields, html, contentSecurityPolicy } = callNative(() => client.endSessionForm(endSessionParameters('endSessionForm', options)))
    this.action = action
    const hidden = { fields: Object.freeze(Object.fromEntries(fields)), html }
    for (const [name, value] of Object.entries(hidden)) Object.defineProperty(this, name, { value, enumerable: false })
    this.contentSecurityPolicy = contentSecurityPolicy
    Object.freeze(this)
  }

  [inspect.custom](depth, options) {
    return `LogoutForm ${inspect({ action: this.action }, options)}`
  }
}

/** Checks the `state` with which the user returns from a logout. */
function checkLogoutReturn(url, options) {
  const { state } = checkOptions('checkLogoutReturn', options)
  callNative(() => native.checkLogoutReturn(textOrUrl(url, 'url'), checkText(state, 'state')))
}

/** A front-channel logout request (OpenID Connect Front-Channel Logout 1.0 section 2). */
class FrontChannelLogout {
  #native

  constructor(url) {
    this.#native = callNative(() => native.NativeFrontChannelLogout.parse(textOrUrl(url, 'url')))
    Object.freeze(this)
  }

  /** Whether it ends the session of the browser that sent it. */
  ends(session) {
    const { issuer, sid } = checkOptions('FrontChannelLogout.ends', session)
    return this.#native.ends(checkText(issuer, 'issuer'), sid === undefined ? undefined : checkText(sid, 'sid'))
  }
}

module.exports = { FrontChannelLogout, LogoutForm, checkLogoutReturn, endSessionParameters }
