// The names of all settings. Loaded together with the module, so that it does not delay the page.

/** The settings of a configuration. */
export const CONFIG = [
  'provider', 'variables', 'options', 'issuer', 'metadata', 'loopback', 'clientId', 'redirectUri', 'resource', 'audience',
  'tokenExtra', 'responseType', 'responseMode', 'dpop', 'profile', 'api', 'storage', 'tabs', 'timeoutMs', 'onWait',
  'observe', 'wasm', 'clientSecret', 'onRateLimit', 'longestWaitMs',
]

/** The options of a sign-in. */
export const SIGN_IN = [
  'mode', 'returnTo', 'session', 'signal', 'scope', 'authorizationDetails', 'acrValues', 'maxAge', 'prompt', 'loginHint',
  'idTokenHint', 'uiLocales', 'claims', 'push', 'stepUp', 'extra',
]

/** Refuses unknown settings and options: one may be the misspelt name of a setting that protects the page. */
export function check(config, options = {}) {
  only(config, CONFIG, 'setting')
  only(options, SIGN_IN, 'option of a sign-in')
}

function only(given, names, what) {
  const unknown = Object.keys(given).find((name) => !names.includes(name))
  if (unknown === undefined) return
  const shown = unknown.slice(0, 64)
  const meant = names.find((name) => name.toLowerCase() === shown.toLowerCase())
  throw new TypeError(`${shown}: there is no such ${what}; ${meant ? `perhaps ${meant}` : `there are ${names.join(', ')}`}`)
}
