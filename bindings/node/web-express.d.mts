// `oauth-core/web`, and who is signed in as a member of Express's own types.
import type { User } from './web.cjs'

export * from './web.cjs'

declare global {
  namespace Express {
    interface Request {
      /** The signed-in user. Always set behind `site.required`, which the types of Express cannot express. */
      user?: User | undefined
    }
  }
}
