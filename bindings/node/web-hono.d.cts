// `oauth-core/web`, with the signed-in person declared among Hono's own context variables.
import type {} from 'hono'
import type { User } from './web.cjs'

export * from './web.cjs'

declare module 'hono' {
  interface ContextVariableMap {
    /** Who is signed in. Nobody, whatever this type says, on a page that `site.required` does not guard. */
    user: User
  }
}
