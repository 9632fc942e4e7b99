// `oauth-core/web`, with the signed-in user declared on Express's own request type.
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
