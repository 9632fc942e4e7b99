// `oauth-core/web`, and who is signed in as a member of Fastify's own types.
import type {} from 'fastify'
import type { User } from './web.cjs'

export * from './web.cjs'

declare module 'fastify' {
  interface FastifyRequest {
    /** Who is signed in; somebody is behind `site.required`, of which Fastify does not tell a handler. */
    user?: User | undefined
  }
}
