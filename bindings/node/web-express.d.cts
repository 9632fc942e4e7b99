// `oauth-core/web`, and who is signed in as a member of Express's own types.
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
