// Sign-in for browser pages. See README.md.

import { presets } from './presets.js'

export { handleCallback, restore } from './callback.js'
export {
  DeniedError,
  LostError,
  MalformedError,
  MisuseError,
  OAuthError,
  UntrustedError,
} from './errors.js'
export { fixedToken } from './fixed.js'
export { Session } from './session.js'
export { signIn } from './signin.js'

/** The names of the presets. */
export const providers = /* @__PURE__ */ Object.freeze(/* @__PURE__ */ Object.keys(presets))
