// `oauth-core/web`, and who is signed in as a member of Fastify's own types.
import type {} from 'fastify'
import type { User } from './web.cjs'

export * from './web.cjs'

declare module 'fastify' {
  interface FastifyRequest {
    /** Who is signed in. Nobody, whatever this type says, on a page that `site.required` does not guard. */
    user: User
  }
}
