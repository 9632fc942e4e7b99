// `oauth-core/web`, and who is signed in as a member of Fastify's own types.
import type {} from 'fastify'
import type { User } from './web.cjs'

export * from './web.cjs'

declare module 'fastify' {
  interface FastifyRequest {
    /** The signed-in user. Always set behind `site.required`, which the types of Fastify cannot express. */
    user?: User | undefined
  }
}
