// `oauth-core/web`, and who is signed in as a member of Express's own types.
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
