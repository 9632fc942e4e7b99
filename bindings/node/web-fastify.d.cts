// `oauth-core/web`, with the signed-in person declared on Fastify's own request type.
import type {} from 'fastify'
import type { User } from './web.cjs'

export * from './web.cjs'

declare module 'fastify' {
  interface FastifyRequest {
    /** Who is signed in; somebody is behind `site.required`, of which Fastify does not tell a handler. */
    user?: User | undefined
  }
}
