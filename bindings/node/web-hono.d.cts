// `oauth-core/web`, with the signed-in user declared among Hono's own context variables.
import type { MiddlewareHandler } from 'hono'
import type { Need, Required as Plain, Site as PlainSite, User } from './web.cjs'

export * from './web.cjs'

declare module 'hono' {
  interface ContextVariableMap {
    /** Who is signed in, if anybody is; handlers behind `site.required` have a `User`. */
    user: User | undefined
  }
}

/** As that of `oauth-core/web`; handlers behind it know that somebody is signed in. */
export interface Required extends Plain, MiddlewareHandler<{ Variables: { user: User } }> {
  (need: Need): Required
}

/** The sign-in of an application of Hono. */
export class Site extends PlainSite {
  readonly required: Required
}
