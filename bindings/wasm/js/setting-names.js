// The names of all settings, and what they may be. Loaded together with the module, so that it does not delay the page.

import { setupError } from './errors.js'

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
  refuseUnknown(config, CONFIG, 'setting')
  refuseUnknown(options, SIGN_IN, 'option of a sign-in')
  checkOrigins(config.api ?? [])
}

/** Refuses an origin with a path: the token may be sent to every path of an origin. */
export function checkOrigins(origins) {
  for (const text of origins) {
    // A text that is not a URL is refused later, where it is parsed.
    if (!URL.canParse(text)) continue
    const { origin, pathname, search } = new URL(text)
    if (pathname === '/' && !search) continue
    throw setupError(`${origin}: an origin is only a scheme, a host and a port`, 'resource.origin_syntax')
  }
}

function refuseUnknown(settings, names, kind) {
  const unknownName = Object.keys(settings).find((name) => !names.includes(name))
  if (unknownName === undefined) return
  const shortened = unknownName.slice(0, 64)
  const suggestion = names.find((name) => name.toLowerCase() === shortened.toLowerCase())
  throw new TypeError(`${shortened}: there is no such ${kind}; ${suggestion ? `perhaps ${suggestion}` : `there are ${names.join(', ')}`}`)
}
