// People sign in to a web application: pages, cookies, checks and logout, for every framework of Node.js.
import type { ApiRequestInit } from './api.cjs'
import type { ConfiguredOptions } from './configured.cjs'
import type { CallOptions, Client, ErrorCode, Key, Network, Store, Tokens, Transport } from './index.cjs'

type MaybePromise<T> = T | Promise<T>
type Json = string | number | boolean | null | readonly Json[] | { readonly [name: string]: Json }

/** Whom a provider vouched for. A person is an issuer and a subject: an address may be another's tomorrow. */
export interface Identity {
  /** The provider's id at the site. */
  readonly provider: string
  /** `iss` */
  readonly issuer: string
  /** `sub`: who it is there, and never anybody else. */
  readonly subject: string
  /** `sid`: the session at the provider, if it has named one. */
  readonly sid: string | undefined
  /** When the person authenticated, if the provider says. */
  readonly authTime: Date | undefined
  /** How the person authenticated, if the provider says. */
  readonly acr: string | undefined
  /** What else was vouched for: all claims where `admit` is asked, those of `claims` in a session. */
  readonly claims: Readonly<Record<string, unknown>>
}

/** Who is signed in. */
export class User implements Identity {
  private constructor()
  readonly provider: string
  readonly issuer: string
  readonly subject: string
  readonly sid: string | undefined
  readonly authTime: Date | undefined
  readonly acr: string | undefined
  readonly claims: Readonly<Record<string, unknown>>
  /** What `admit` has added. */
  readonly local: Readonly<Record<string, any>>
  /** When the session began. */
  readonly startedAt: Date
  /** When it ends. */
  readonly until: Date
  /** What was granted. */
  readonly scope: readonly string[]
  /** Whose people the provider signs in, where the site has tenants. */
  readonly tenant: string | undefined
  /** `name`, else `preferred_username`, else the subject. */
  readonly name: string
  /** `email`, which may be unverified. */
  readonly email: string | undefined
  /**
   * `fetch` with this person's access token, renewed if need be: one renewal for all who ask at once, in all processes
   * that share the store. To `apiOrigins` only. `web.setup` without tokens; an error whose advice is `reauthorize` where
   * the person has to sign in again: the session is over then, too.
   */
  fetch(input: string | URL | Request, init?: ApiRequestInit): Promise<Response>
  /** This person's tokens, fresh now; `web.setup` without any. */
  token(options?: CallOptions): Promise<Tokens>
  /** Ends this session, wherever it is used, and its grant. One that lives in its cookie alone cannot be ended so. */
  end(): Promise<void>
  /** The session as plain data, in the words of the protocol: times in Unix seconds, and no token. */
  toJSON(): { readonly [name: string]: Json }
}

/** What `admit` gives to keep somebody out. */
export class Refuse {
  /** The reason is shown to the person. */
  constructor(reason?: string)
  readonly reason: string
}

/** What a page wants of a person, beyond being signed in (RFC 9470). */
export interface Need {
  /** One of these ways to authenticate, the best first. */
  acr?: string | readonly string[] | undefined
  /** To have authenticated within these last seconds. */
  maxAge?: number | undefined
  /** To have granted each of these. */
  scope?: string | readonly string[] | undefined
  /** To have signed in with a provider of this tenant: a page of one tenant is never seen with a session of another. */
  tenant?: string | undefined
}

/** What a person, or a script, is told of what went wrong. */
export interface Problem {
  readonly code: ErrorCode
  readonly title: string
  readonly detail: string | null
  /** The page to sign in at, if that may help. */
  readonly signIn: string | null
}

/** Something for the log: never a cookie, a token or a name. */
export interface Note {
  readonly code: ErrorCode
  readonly detail: string
}

/** Who people sign in with. */
export interface ProviderOptions {
  /**
   * As the provider knows the application, or what gives it once somebody signs in. Where it throws an `OAuthError`, pages
   * that need the provider answer 503, and it is asked again after five seconds.
   */
  client: Client | (() => MaybePromise<Client>)
  /** What people call it, where they choose. */
  title?: string | undefined
  /** `openid profile email` unless set. Many providers give refresh tokens for `offline_access` only. */
  scope?: string | Iterable<string> | undefined
  /**
   * Where a provider without OpenID Connect says who a person is: asked with the access token. `subject` is the member that
   * is never given to another person, and `claims` names members by the claims that they are.
   */
  identity?: { url: string | URL; subject: string; claims?: Readonly<Record<string, string>> | undefined } | undefined
  /** More parameters of the authorization request. */
  parameters?: Readonly<Record<string, string>> | undefined
  /** The path of its callback: `/auth/callback`, with the id behind it where there are several providers. */
  callback?: string | undefined
  /** Whose people sign in there, where the site has tenants: see `tenant` of {@link Need}. */
  tenant?: string | undefined
  /** How the provider sends people back: `query` unless set. */
  callbackMode?: 'query' | 'form_post' | undefined
  /**
   * Its issuer and client id, where a function gives the client. Sessions of another client are nobody's; without this, one
   * under the same id passes until the client is known.
   */
  registered?: { issuer: string; clientId: string } | undefined
  /** Where `user.fetch` may send tokens: any URL of each origin, in place of the preset's API. */
  apiOrigins?: Iterable<string | URL> | undefined
}

/** One of several providers. */
export interface NamedProvider extends ProviderOptions {
  /** Its name in URLs and sessions: letters, digits, `-` and `_`. */
  id: string
}

/** A provider that was looked up. Its callback is `/auth/callback/{id}`. */
export interface FoundProvider extends Omit<NamedProvider, 'callback' | 'client'> {
  client: Client
}

/** Which provider is wanted. The one that is given has to be what is said here, or it is not taken. */
export interface ProviderAsk {
  /** The one of this id: of a callback, a session, or a choice. */
  readonly id: string | undefined
  /** One of this issuer. */
  readonly issuer: string | undefined
  /** One of this tenant. */
  readonly tenant: string | undefined
  /** The `Host` that was opened, where nothing of that is said. */
  readonly host: string
  /** The path of the page. */
  readonly path: string
}

/** What a site is like, whoever people sign in with. */
export interface SiteSettings {
  /** Where sessions live, and their tokens; without it, in a sealed cookie that has no tokens. */
  store?: Store | undefined
  /**
   * What sessions are: `store` with a store, else `identity` unless set. `access_token` has the access token in the sealed
   * cookie and no refresh token: once it is over, pages lead to the provider and back without anybody being asked, and
   * scripts get 401.
   */
  keep?: 'identity' | 'access_token' | 'store' | undefined
  /**
   * Looks up the providers that are not in the settings: tenants that come and go. It is asked at each request that needs
   * one, so keep clients at hand. What it throws is what the handler throws.
   */
  provider?: ((ask: ProviderAsk, request: any) => MaybePromise<FoundProvider | undefined | void>) | undefined
  /** What a page takes where its handler says nothing: `open` unless set. `quiet` looks once, silently, at the provider. */
  access?: 'open' | 'quiet' | 'signed_in' | undefined
  /**
   * Whom to let in: gives what their session is to keep in `local`, nothing, or a {@link Refuse}. What it throws is what
   * the handler throws. It is handed the request as the framework has it.
   */
  admit?: ((identity: Identity, request: any) => MaybePromise<Readonly<Record<string, unknown>> | Refuse | undefined | void>) | undefined
  /** The HTML of an error page. */
  errorPage?: ((problem: Problem & { readonly status: number }) => MaybePromise<string>) | undefined
  /** Gets what is worth a line in the log, as does the channel `oauth-core:web` of `node:diagnostics_channel`. */
  log?: ((note: Note) => void) | undefined
  /** Names the cookies: `oauth-session` unless set. */
  name?: string | undefined
  /** Where the site's own pages are: `/auth` unless set. */
  prefix?: string | undefined
  /** What a proxy cuts off from the path before the application sees it, such as `/shop`. */
  rootPath?: string | undefined
  /** How long a session lives: 8 hours, or 24 in a store. */
  lifetimeMs?: number | undefined
  /** How long a session in a store may lie unused: 2 hours unless set. */
  idleMs?: number | undefined
  /** How long a person may take to sign in: 15 minutes unless set. */
  flowLifetimeMs?: number | undefined
  /** How many sign-ins a browser may have under way: 4 unless set. */
  flows?: number | undefined
  /** `SameSite` of the session's cookie: `lax` unless set. */
  sameSite?: 'lax' | 'strict' | undefined
  /** Where people go who asked for no page: `/` unless set. */
  home?: string | undefined
  /** Other origins that people may return to, exactly these. */
  returnOrigins?: Iterable<string | URL> | undefined
  /** The claims that a session keeps: name, user name, e-mail address and picture unless set. */
  claims?: Iterable<string> | undefined
  /**
   * APIs that pages of the site may call with the person's token, which they never see: `{prefix}/api/{name}/…`, for `GET`
   * unless methods are named. They need tokens; `sameSite: 'strict'` is the better choice then. A body is 10 MiB at most.
   */
  api?: Readonly<Record<string, string | URL | { url: string | URL; methods?: Iterable<string> | undefined }>> | undefined
  /** `loopback_http` allows plain http to loopback addresses, for tests. */
  transport?: Transport | undefined
  /** Carries the site's own requests to providers. */
  network?: Network | undefined
}

export interface SiteBase extends SiteSettings {
  /** Where people reach the site, path included; several where it has several names. No header is believed about it. */
  baseUrl: string | URL | readonly (string | URL)[]
  /**
   * What cookies are sealed with: 32 bytes, their text, or a `Key`; the same for all processes. `testing` is the key for
   * {@link Site.testing}, and refused where somebody else could reach the site.
   */
  key: Key | string | Uint8Array
  /** What cookies were sealed with before. */
  oldKeys?: readonly (Key | string | Uint8Array)[] | undefined
}

export type SiteOptions =
  | (SiteBase & ProviderOptions & { id?: string | undefined; providers?: undefined })
  | (SiteBase & { providers: readonly NamedProvider[] })
  | (SiteBase & { provider: NonNullable<SiteSettings['provider']>; providers?: undefined })

export interface FromEnvOptions extends SiteSettings, Omit<ProviderOptions, 'client'> {
  /** Looked into in place of `process.env`: of a Worker, its `env`, where what is no text, number or flag is left alone. */
  env?: object | undefined
  /** What else the client is made with. */
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
  access?: 'open' | 'quiet' | 'signed_in' | undefined
  need?: { acr: readonly string[]; maxAge?: number | undefined; scope: readonly string[] } | undefined
}

/**
 * What lets nobody by who is not signed in, or has not done what is needed: people who open a page are sent to sign in,
 * and scripts get 401 or 403 with `application/problem+json`.
 */
export interface Required {
  /** Who is signed in; throws the `Response` to send instead. */
  (request: Request, need?: Need): Promise<User>
  /**
   * Where no response can be sent: who is signed in, or {@link Site.leave} to the login page, which leads back to `path`.
   * Headers do not tell a page from a script, so everybody is led there.
   */
  (headers: HeadersLike, path: string, need?: Need): Promise<User>
  /** Middleware of Hono: `c.var.user`. */
  (context: HonoContext, next: () => Promise<void>): Promise<Response | void>
  /** Middleware of Express and Connect: `request.user`. */
  (request: NodeRequest, response: NodeResponse, next: (error?: any) => void): void
  /** A hook of Fastify: `request.user`. */
  (request: FastifyRequestLike, reply: FastifyReplyLike): Promise<unknown>
  /** The same for a page that wants more. */
  (need: Need): Required
}

/**
 * A site whose people sign in: one for an application. Its own pages are below `/auth`: login, callback, check, logout,
 * session. Every other path is the application's, and no response of the application's carries a cookie of the site.
 */
export class Site {
  /** `web.setup`, `url.insecure` or `redirect_uri.refused` where settings contradict themselves or are not safe. */
  constructor(options: SiteOptions)
  /**
   * A site out of `OAUTH_ISSUER` or `OAUTH_PROVIDER`, `OAUTH_CLIENT_ID`, `OAUTH_CLIENT_SECRET` (or what else
   * {@link Client.fromEnv} reads), `OAUTH_BASE_URL`, `OAUTH_KEY` (old keys behind it, with spaces between) and
   * `OAUTH_STORE` (a URL of redis, postgresql, sqlite, file or memory, optional; records are sealed with the key), and
   * `OAUTH_TRANSPORT` (`loopback_http` for a site and a provider on this machine).
   * `environment.missing` names at once what is not set, `web.setup` a variable whose value is wrong. The provider is asked
   * for its metadata when somebody signs in.
   */
  static fromEnv<T extends typeof Site>(this: T, options?: FromEnvOptions): InstanceType<T>
  /** The standard handler: a response to send, or who is there. */
  handle(request: Request, options?: HandleOptions): Promise<Response | { user: User | undefined }>
  /** The site's own pages: 404 for any other. Loaders and actions may call it with `{ request }`. */
  readonly page: (request: Request | { request: Request }) => Promise<Response>
  /** The same as route handlers. */
  readonly routes: { GET: Site['page']; POST: Site['page'] }
  /** A handler of requests behind the site, for Bun, Deno, and whatever serves the Fetch standard. */
  wrap<Rest extends unknown[]>(
    handler: (request: Request, user: User | undefined, ...rest: Rest) => MaybePromise<Response>,
    options?: HandleOptions,
  ): (request: Request, ...rest: Rest) => Promise<Response>
  readonly required: Required
  /** Middleware for Hono: `c.var.user`. */
  hono(): (context: any, next: () => Promise<void>) => Promise<Response | void>
  /** Middleware for Express 4 and 5, Connect and `node:http`: `request.user`. */
  express(): (request: any, response: any, next: (error?: any) => void) => void
  /** A plugin for Fastify: `request.user`. */
  readonly fastify: (app: any) => Promise<void>
  /**
   * Express's handler of errors, behind the routes: where `user.fetch` has found that a grant has ended, whoever opened the
   * page is led to sign in, and a script gets a 401. `wrap` and `hono` do so by themselves.
   */
  expressErrors(): (error: any, request: any, response: any, next: (error?: any) => void) => Promise<void>
  /** The `handle` hook of SvelteKit: `event.locals.user`. `protect`: what is for people who are signed in, and all below. */
  sveltekit(options?: { protect?: string | readonly string[] | ((event: any) => boolean) | undefined }):
    (input: { event: any; resolve: (event: any) => MaybePromise<Response> }) => Promise<Response>
  /** Whether the site has a page at this path, as the application sees it. */
  owns(path: string): boolean
  /** Where the site's own pages are, as the application's router sees it; `*` at an end stands for all below. */
  readonly paths: readonly string[]
  /**
   * Signs somebody in for a test: the `Cookie` of requests from then on. No provider is asked, and there are no tokens.
   * Otherwise it is as at a real sign-in: `admit` is asked, unless `local` is what it would give, and of the claims those
   * are kept that the site keeps. A request that changes something needs `Sec-Fetch-Site: same-origin` beside the cookie,
   * as browsers send it. `web.setup` unless the site's key is `testing`, `web.not_admitted` if `admit` refuses.
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
  /** How `required(headers, path)` leads elsewhere: it throws a redirect as `Response`. For frameworks with a way of their own. */
  leave(location: string): Promise<never>
}
