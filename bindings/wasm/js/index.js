// Sign-in for browser pages. See README.md.

export { handleCallback, restore } from './callback.js'
export {
  DeniedError,
  LostError,
  MalformedError,
  MisuseError,
  OAuthError,
  UntrustedError,
} from './errors.js'
export { fixedToken } from './fixed-token.js'
export { providers } from './providers.js'
export { Session } from './session.js'
export { signIn } from './sign-in.js'
export { stepUp } from './step-up.js'
