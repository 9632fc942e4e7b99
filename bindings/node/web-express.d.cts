// `oauth-core/web`, with the signed-in person declared on Express's own request type.
import type { User } from './web.cjs'

export * from './web.cjs'

declare global {
  namespace Express {
    interface Request {
      /** Who is signed in; somebody is behind `site.required`, of which Express does not tell a handler. */
      user?: User | undefined
    }
  }
}
