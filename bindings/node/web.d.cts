// Sign-in for web applications: pages, cookies, checks and logout, for every framework of Node.js.
import type { ApiRequestInit } from './api.cjs'
import type { ConfiguredOptions } from './configured.cjs'
import type { CallOptions, Client, ErrorCode, SealingKey, Network, StandardClaims, Store, Tokens, Transport } from './index.cjs'

type MaybePromise<T> = T | Promise<T>
type Json = string | number | boolean | null | readonly Json[] | { readonly [name: string]: Json }

/** An identity that a provider vouched for. Issuer and subject identify the user; an address may change hands. */
export interface Identity {
  /** The provider's id at the site. */
  readonly provider: string
  /** `iss` */
  readonly issuer: string
  /** `sub`: the user's identifier at the issuer, which is never reassigned. */
  readonly subject: string
  /** `sid`: the session at the provider, if it names one. */
  readonly sid: string | undefined
  /** When the user authenticated, if the provider says. */
  readonly authTime: Date | undefined
  /** How the user authenticated, if the provider says. */
  readonly acr: string | undefined
  /** The other claims: all of them in `admit`, those of `claims` in a session. */
  readonly claims: StandardClaims
}

/** The user who is signed in. */
export class User implements Identity {
  private constructor()
  readonly provider: string
  readonly issuer: string
  readonly subject: string
  readonly sid: string | undefined
  readonly authTime: Date | undefined
  readonly acr: string | undefined
  readonly claims: StandardClaims
  /** What `admit` added. */
  readonly local: Readonly<Record<string, any>>
  /** When the session began. */
  readonly startedAt: Date
  /** When it ends. */
  readonly until: Date
  /** The granted scope. */
  readonly scope: readonly string[]
  /** The tenant of the provider, if the site has tenants. */
  readonly tenant: string | undefined
  /** `name`, else `preferred_username`, else the subject. */
  readonly name: string
  /** `email`, which may be unverified. */
  readonly email: string | undefined
  /**
   * `fetch` with this user's access token, renewed if needed: one renewal for all concurrent callers, in all processes
   * that share the store. To `apiOrigins` only. `web.setup` without tokens; an error whose advice is `reauthorize` if
   * the user has to sign in again, which ends the session too. If it is not caught, they are redirected to sign in; the
   * user of `required(request)` and `required(headers, path)` throws that redirect instead.
   */
  fetch(input: string | URL | Request, init?: ApiRequestInit): Promise<Response>
  /** This user's tokens, renewed if needed; `web.setup` without any. */
  token(options?: CallOptions): Promise<Tokens>
  /** Ends this session everywhere, and its grant. A session that is kept only in its cookie cannot be ended this way. */
  end(): Promise<void>
  /** The session as plain data, with the names of the protocol: times in Unix seconds, and no token. */
  toJSON(): { readonly [name: string]: Json }
}

/** What `admit` returns to refuse a user. */
export class Refuse {
  /** The reason is shown to the user. */
  constructor(reason?: string)
  readonly reason: string
}

/** What a page requires beyond a session (RFC 9470). */
export interface Need {
  /** One of these `acr` values, the best first. */
  acr?: string | readonly string[] | undefined
  /** The user must have authenticated within this many seconds. */
  maxAge?: number | undefined
  /** Each of these must have been granted. */
  scope?: string | readonly string[] | undefined
  /** The user must have signed in with a provider of this tenant: a session of one never opens a page of another. */
  tenant?: string | undefined
}

/** What a user or a script is told about an error. */
export interface Problem {
  readonly code: ErrorCode
  readonly title: string
  readonly detail: string | null
  /** The login page, if signing in again may help. */
  readonly signIn: string | null
}

/** A log entry: never a cookie, a token or a name. */
export interface LogEntry {
  readonly code: ErrorCode
  readonly detail: string
}

/** An identity provider. */
export interface ProviderOptions {
  /**
   * The client registered at the provider, or a function that returns it when somebody signs in. If it throws an
   * `OAuthError`, pages that need the provider respond with 503, and it is called again after five seconds.
   */
  client: Client | (() => MaybePromise<Client>)
  /** Its name on the page where people choose a provider. */
  title?: string | undefined
  /** `openid profile email` unless set. Many providers give refresh tokens for `offline_access` only. */
  scope?: string | Iterable<string> | undefined
  /**
   * The endpoint that identifies the user at a provider without OpenID Connect, called with the access token. `subject`
   * is the member that is never reassigned, and `claims` maps claims to members.
   */
  identity?: { url: string | URL; subject: string; claims?: Readonly<Record<string, string>> | undefined } | undefined
  /** Further parameters of the authorization request. */
  parameters?: Readonly<Record<string, string>> | undefined
  /** The path of its callback: `/auth/callback`, followed by the id if there are several providers. */
  callback?: string | undefined
  /** The tenant whose people it signs in, if the site has tenants: see `tenant` of {@link Need}. */
  tenant?: string | undefined
  /**
   * How the provider returns the authorization response: `query` unless set. In the `jwt` modes it is signed (JARM), and
   * unsigned parameters beside it are refused. Browsers post forms over https only.
   */
  responseMode?: 'query' | 'form_post' | 'jwt' | 'query.jwt' | 'form_post.jwt' | undefined
  /**
   * When UserInfo is asked: with `when_missing`, which is the default, if the ID token lacks a claim that sessions keep
   * and the granted scope covers. Its claims replace none of the ID token. A response about another user refuses the
   * sign-in (`userinfo.subject`); an endpoint that fails is only logged. `never` suits providers that put all claims in
   * the ID token.
   */
  userinfo?: 'never' | 'when_missing' | undefined
  /**
   * For how many seconds after it was issued a logout token without `exp` is accepted, as older providers send it. Unless
   * set, it is refused.
   */
  logoutMaxAgeWithoutExpiry?: number | undefined
  /**
   * Its issuer and client id, if a function returns the client. Sessions of another client count as signed out; without this,
   * one under the same id is accepted until the client is known.
   */
  registered?: { issuer: string; clientId: string } | undefined
  /** Where `user.fetch` may send tokens: any URL of each origin, in place of the preset's API. */
  apiOrigins?: Iterable<string | URL> | undefined
}

/** One of several providers. */
export interface NamedProvider extends ProviderOptions {
  /** Its id in URLs and sessions: letters, digits, `-` and `_`. */
  id: string
}

/** A provider that was looked up. Its callback is `/auth/callback/{id}`. */
export interface FoundProvider extends Omit<NamedProvider, 'callback' | 'client'> {
  client: Client
}

/** A query for a provider. The answer must match all of it, or it is refused. */
export interface ProviderQuery {
  /** The id of the provider: from a callback, a session, or the user's choice. */
  readonly id: string | undefined
  /** The issuer, when it initiated the sign-in. */
  readonly issuer: string | undefined
  /** The tenant. */
  readonly tenant: string | undefined
  /** The `Host` of the request, if none of these is set. */
  readonly host: string
  /** The path of the page. */
  readonly path: string
}

/** The settings of a site that are plain data. */
// generated by cargo xtask codegen, do not edit
export interface PlainSiteSettings {
  /** `loopback_http` allows plain http to loopback addresses, for tests. */
  transport?: 'https' | 'loopback_http' | undefined
  /**
   * How sessions are kept: `store` with a store, else `identity` unless set. `access_token` keeps the access token in
   * the sealed cookie, and no refresh token: once it has expired, pages redirect to the provider and back without a
   * prompt, and scripts get 401.
   */
  keep?: 'identity' | 'access_token' | 'store' | undefined
  /** The name of the cookies: `oauth-session` unless set, with the path of the base URL before it. */
  name?: string | undefined
  /** The path of the site's own pages: `/auth` unless set. */
  prefix?: string | undefined
  /** The lifetime of a session: 8 hours, or 24 in a store. */
  lifetimeMs?: number | undefined
  /** The idle timeout of a session in a store: 2 hours unless set. */
  idleMs?: number | undefined
  /** How long a user may take to sign in: 15 minutes unless set. */
  flowLifetimeMs?: number | undefined
  /** How many sign-ins a browser may have in progress: 4 unless set. */
  flows?: number | undefined
  /** `SameSite` of the session's cookie: unless set, `strict` with `api`, else `lax`. */
  sameSite?: 'lax' | 'strict' | undefined
  /** Where users go after signing in if they requested no page: `/` unless set. */
  home?: string | undefined
  /** Other origins that users may return to, compared exactly. */
  returnOrigins?: Iterable<string | URL> | undefined
  /** The claims that a session keeps: name, user name, e-mail address and picture unless set. */
  claims?: Iterable<string | URL> | undefined
  /**
   * APIs that pages of the site may call with the user's token, which they never see: `{prefix}/api/{name}/…`, for
   * `GET` unless methods are named. This needs tokens. Bodies are limited to 10 MiB.
   */
  api?: Readonly<Record<string, string | URL | { url: string | URL; methods?: Iterable<string> | undefined }>> | undefined
  /**
   * The client's own metadata document, for providers that accept its URL as a client id
   * (draft-ietf-oauth-client-id-metadata-document): the site serves it at that URL, its `client_id`, below a base URL,
   * to any request.
   */
  clientMetadata?: string | Readonly<Record<string, unknown>> | undefined
}
// end of what is generated

/** The settings of a site other than its providers. */
export interface SiteSettings extends PlainSiteSettings {
  /** Where sessions and their tokens are kept; without it, sessions are in a sealed cookie without tokens. */
  store?: Store | undefined
  /**
   * Looks up the providers that are not in the settings, such as those of tenants that come and go. It is called for each
   * request that needs one, so cache clients. The handler throws what it throws.
   */
  provider?: ((ask: ProviderQuery, request: any) => MaybePromise<FoundProvider | undefined | void>) | undefined
  /** Who may see pages by default: `open` unless set. `silent` checks once, silently, for a session at the provider. */
  access?: 'open' | 'silent' | 'signed_in' | undefined
  /**
   * Decides whether to admit a user: returns what their session keeps in `local`, nothing, or a {@link Refuse}. The
   * handler throws what it throws. It gets the request as the framework has it.
   */
  admit?: ((identity: Identity, request: any) => MaybePromise<Readonly<Record<string, unknown>> | Refuse | undefined | void>) | undefined
  /**
   * Called when a user is signed out, before the response is sent: here, by their provider (back-channel and
   * front-channel logout, once for all sessions that end), or by another user who is signed in there. The request is
   * the one that signed them out. The handler throws what it throws.
   */
  signedOut?: ((identity: Identity, request: any) => MaybePromise<void>) | undefined
  /** The HTML of an error page. */
  errorPage?: ((problem: Problem & { readonly status: number }) => MaybePromise<string>) | undefined
  /**
   * Gets log entries, as does the channel `oauth-core:web` of `node:diagnostics_channel`. Without it, those of failures
   * that the site or its provider causes are written with `console.error`, each in one line; `() => {}` silences them.
   */
  log?: ((note: LogEntry) => void) | undefined
  /** The prefix that a proxy removes from the path before the application sees it, such as `/shop`. */
  rootPath?: string | undefined
  /** The network settings of the site's own requests to providers. */
  network?: Network | undefined
}

export interface SiteBase extends SiteSettings {
  /** The URL of the site, path included; several if it has several. Headers are not trusted for it. */
  baseUrl: string | URL | readonly (string | URL)[]
  /**
   * The key that seals cookies: 32 bytes, their text, or a `SealingKey`; the same for all processes. `testing` is the key for
   * {@link Site.testing}, and is refused unless the site is local.
   */
  key: SealingKey | string | Uint8Array
  /** Earlier keys, whose cookies are still accepted. */
  oldKeys?: readonly (SealingKey | string | Uint8Array)[] | undefined
}

export type SiteOptions =
  | (SiteBase & ProviderOptions & { id?: string | undefined; providers?: undefined })
  | (SiteBase & { providers: readonly NamedProvider[] })
  | (SiteBase & { provider: NonNullable<SiteSettings['provider']>; providers?: undefined })

export interface FromEnvOptions extends SiteSettings, Omit<ProviderOptions, 'client'> {
  /** Read in place of `process.env`, such as the `env` of a Worker; only its strings, numbers and booleans are read. */
  env?: object | undefined
  /** Further options of the client. */
  clientOptions?: ConfiguredOptions | undefined
}

/** Headers of a request: of the Fetch standard, or as Next.js has them. */
export interface HeadersLike {
  get(name: string): string | null
  entries(): IterableIterator<[string, string]>
}
/** A request of `node:http`. */
export interface NodeRequest {
  method?: string | undefined
  url?: string | undefined
  rawHeaders: string[]
}
/** A response of `node:http`. */
export interface NodeResponse {
  statusCode: number
  setHeader(name: string, value: string): unknown
  end(...body: any[]): unknown
}
/** A context of Hono. */
export interface HonoContext {
  req: { raw: Request }
  set(key: any, value: any): void
}
/** A request of Fastify. */
export interface FastifyRequestLike { raw: NodeRequest; originalUrl: string }
/** A reply of Fastify. */
export interface FastifyReplyLike { code(status: number): any; header(name: string, value: any): any; send(body?: any): any }

export interface HandleOptions {
  access?: 'open' | 'silent' | 'signed_in' | undefined
  need?: Need | undefined
}

/**
 * Admits only people who are signed in and meet the need: others who open a page are sent to sign in, and scripts get
 * 401 or 403 with `application/problem+json`.
 */
export interface Required {
  /** The user who is signed in; otherwise throws the `Response` to send. */
  (request: Request, need?: Need): Promise<User>
  /**
   * For places that cannot send a response: the user who is signed in, or {@link Site.leave} to the login page, which
   * returns to `path`. Headers do not tell a page from a script, so everybody is sent there.
   */
  (headers: HeadersLike, path: string, need?: Need): Promise<User>
  /** Middleware of Hono: `c.var.user`. */
  (context: HonoContext, next: () => Promise<void>): Promise<Response | void>
  /** Middleware of Express and Connect: `request.user`. */
  (request: NodeRequest, response: NodeResponse, next: (error?: any) => void): void
  /** A hook of Fastify: `request.user`. */
  (request: FastifyRequestLike, reply: FastifyReplyLike): Promise<unknown>
  /** The guard of a page with a need. */
  (need: Need): Required
}

/**
 * The sign-in of a web application; an application has one. Its own pages are below `/auth`: login, callback, check,
 * logout, session. All other paths are the application's, and its responses never carry a cookie of the site.
 */
export class Site {
  /** `web.setup`, `url.insecure` or `redirect_uri.refused` for settings that are contradictory or unsafe. */
  constructor(options: SiteOptions)
  /**
   * A site from `OAUTH_ISSUER` or `OAUTH_PROVIDER`, `OAUTH_CLIENT_ID`, `OAUTH_CLIENT_SECRET` (or what else
   * {@link Client.fromEnv} reads), `OAUTH_BASE_URL`, `OAUTH_KEY` (followed by old keys, separated by spaces) and
   * `OAUTH_STORE` (a URL of redis, postgresql, sqlite, file or memory, optional; records are sealed with the key), and
   * `OAUTH_TRANSPORT` (`loopback_http` for a site and a provider on this machine) and `OAUTH_USERINFO` (`userinfo`).
   * `environment.missing` names all variables that are not set, `web.setup` one with an invalid value. Presets without
   * OpenID Connect, such as `github`, have their `identity`; `web.setup` for one that has none, unless it is given. The
   * metadata of the provider is fetched when somebody signs in.
   */
  static fromEnv<T extends typeof Site>(this: T, options?: FromEnvOptions): InstanceType<T>
  /** The standard handler: a response to send, or the user. */
  handle(request: Request, options?: HandleOptions): Promise<Response | { user: User | undefined }>
  /** The site's own pages: 404 for any other. Loaders and actions may call it with `{ request }`. */
  readonly page: (request: Request | { request: Request }) => Promise<Response>
  /** The pages of the site as route handlers. */
  readonly routes: { GET: Site['page']; POST: Site['page']; PUT: Site['page']; PATCH: Site['page']; DELETE: Site['page'] }
  /** Wraps a request handler, for Bun, Deno, and other servers of the Fetch standard; a `Response` that it throws is sent, as `required` throws one. */
  wrap<Rest extends unknown[]>(
    handler: (request: Request, user: User | undefined, ...rest: Rest) => MaybePromise<Response>,
    options?: HandleOptions,
  ): (request: Request, ...rest: Rest) => Promise<Response>
  readonly required: Required
  /** Middleware for Hono: `app.use(site.hono())`, and `c.var.user`. */
  hono(...forgottenCall: never[]): (context: any, next: () => Promise<void>) => Promise<Response | void>
  /**
   * Middleware for Express 4 and 5, Connect and `node:http`: `app.use(site.express())`, and `request.user`. What `user.fetch`
   * throws needs {@link Site.expressErrors} as well.
   */
  express(...forgottenCall: never[]): (request: any, response: any, next: (error?: any) => void) => void
  /** A plugin for Fastify, passed on without parentheses: `app.register(site.fastify)`, and `request.user`. */
  readonly fastify: (app: any) => Promise<void>
  /**
   * An error handler for Express, after the routes: `app.use(site.expressErrors())`. If `user.fetch` has found that a
   * grant has ended, a user who opened a page is redirected to sign in, and a script gets a 401. The adapters of all
   * other frameworks do so automatically.
   */
  expressErrors(...forgottenCall: never[]): (error: any, request: any, response: any, next: (error?: any) => void) => Promise<void>
  /**
   * The `handle` hook of SvelteKit: `event.locals.user`. `protect`: paths for people who are signed in, with all paths below; as an
   * object, each with what else is required there: `{ '/me': {}, '/pay': { acr: 'mfa' } }`.
   * A path counts however it is written, with or without the site's own base in front, and for the route that SvelteKit finds for
   * it. For a remote function the page itself says which path it is on: check `event.locals.user` there.
   */
  sveltekit(options?: { protect?: string | readonly string[] | Readonly<Record<string, Need>> | ((event: any) => boolean | Need | undefined) | undefined }):
    (input: { event: any; resolve: (event: any) => MaybePromise<Response> }) => Promise<Response>
  /** Whether the site has a page at this path, as the application sees it. */
  owns(path: string): boolean
  /** The paths of the site's own pages, as the application's router sees them; a final `*` stands for all below. */
  readonly paths: readonly string[]
  /**
   * Signs somebody in for a test and returns the `Cookie` of further requests. No provider is involved, and there are no
   * tokens. Otherwise it is as at a real sign-in: `admit` is called, unless `local` is what it would return, and only the
   * claims that the site keeps are kept. A request that changes something needs `Sec-Fetch-Site: same-origin` beside the
   * cookie, as browsers send it. `web.setup` unless the site's key is `testing`, `web.not_admitted` if `admit` refuses.
   */
  testing(somebody: {
    subject: string
    provider?: string | undefined
    issuer?: string | undefined
    claims?: Readonly<Record<string, unknown>> | undefined
    acr?: string | undefined
    authTime?: Date | undefined
    sid?: string | undefined
    local?: Readonly<Record<string, unknown>> | undefined
  }): Promise<string>
  /** How `required(headers, path)` redirects: it throws a redirect as `Response`. For frameworks with their own way. */
  leave(location: string): Promise<never>
}
