// `oauth-core/web`, and who is signed in as a member of Hono's own types.
import type {} from 'hono'
import type { User } from './web.cjs'

export * from './web.cjs'

declare module 'hono' {
  interface ContextVariableMap {
    /** Who is signed in. Nobody, whatever this type says, on a page that `site.required` does not guard. */
    user: User
  }
}
