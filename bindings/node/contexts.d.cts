// The contexts of an application that is connected to several servers, tools or tenants.

import type { Client } from './index.cjs'

/** One context: a tool, a provider and a tenant that the application is connected to. */
export interface ConnectionContext {
  /** The unique identifier of the context: what `authorize` and `redeem` take as `context`. */
  id: string
  /** The party that has set up the context, such as a tenant. */
  owner: string
  /** The registration that it uses. */
  client: Client
  /** The redirect URI of the context's flows. */
  redirectUri: string | URL
}

/**
 * Checks all configured contexts of an application (draft-ietf-oauth-security-topics-update section 2.2.2). Throws
 * `context.identifier` for two with the same identifier, and for one that is empty, longer than 256 bytes, or a dot
 * segment; `registration.shared` for contexts of different owners that share a client registration: one could use what
 * the other is granted; `redirect_uri.shared` for contexts that share a redirect URI if nothing else shows to which of
 * them a callback belongs.
 */
export function checkContexts(contexts: Iterable<ConnectionContext>): void

/**
 * The redirect URI of one context: this URI with the identifier of the context as a further path segment. Register each
 * with its server. Throws `context.identifier` for an identifier that is empty, longer than 256 bytes, or a dot segment,
 * and `redirect_uri.refused`.
 */
export function redirectUriOfContext(redirectUri: string | URL, id: string): string
