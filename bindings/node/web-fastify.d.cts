// `oauth-core/web`, with the signed-in user declared on Fastify's own request type.
import type {} from 'fastify'
import type { User } from './web.cjs'

export * from './web.cjs'

declare module 'fastify' {
  interface FastifyRequest {
    /** The signed-in user. Always set behind `site.required`, which the types of Fastify cannot express. */
    user?: User | undefined
  }
}
