// `oauth-core/web`, with the signed-in person declared on Express's own request type.
import type { User } from './web.cjs'

export * from './web.cjs'

declare global {
  namespace Express {
    interface Request {
      /** Who is signed in. Nobody, whatever this type says, on a page that `site.required` does not guard. */
      user: User
    }
  }
}
