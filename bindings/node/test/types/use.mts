// Compiled, never run: what the types allow, and what they refuse.
import {
  Address, VerifiedAccessToken, AccessTokenVerifier, Api, BackchannelAuthenticationResponse, Client, DeniedError, DeviceAuthorizationResponse, DpopKey, FileStore, FixedToken, PendingAuthorization, GrantSource, IdToken, IdentityAssertion, Keeper, SealingKey, LogoutToken, LostError, MisuseError, Network, OAuthError, PostgresStore, RedisStore, SealedStore,
  Server, Grants, SqliteStore, IntrospectionResponse, Tokens, UntrustedError, assertionFunction, clientSecretJwt, discover, discovery, drain, fixedToken, keep, login, privateKeyJwt, provider, providerFile, providers, run,
  UserClaims, userClaims,
} from 'oauth-core'
import type {
  AccessTokenClaims, AccessTokenRequest, AddressClaim, AuthorizationDetail, ErrorCode, Exchange, IdTokenClaims, KeySource, Moment, Owner, OnRateLimit, StandardClaims, Step, Store, Task, TokenSource, Decision, UntrustedCode, UserInfoClaims,
} from 'oauth-core'

export async function use(signal: AbortSignal): Promise<void> {
  const preset: Server = provider('uservoice', { variables: { subdomain: 'acme' }, options: ['challenge_as_verifier'] })
  const found = await discover(new URL('https://as.example'), { transport: 'https', signal, timeoutMs: 1000 })
  const client = new Client(found, {
    clientId: 'id',
    clientSecret: 's',
    clientAuth: 'client_secret_post',
    redirectUris: ['https://app.example/cb'],
    timeoutMs: 5000,
    fetch,
  })
  const source: GrantSource = client.clientCredentials({ scope: ['read'], onTokens: async (tokens) => tokens.serialize() })
  const tokens: Tokens = await source.token({ signal })
  const patient: Tokens = await source.token({ signal, timeoutMs: 1000 })
  const alone: GrantSource = client.source({ subject: 'ann' })
  const bare: GrantSource = client.source(client.tokensFromRefreshToken('r', { scope: ['read'] }))
  const keys: string[] = [alone.key, bare.key, client.keeper({ subject: 'ann' }).key]
  // @ts-expect-error options stand alone or behind tokens
  client.source({ subject: 'ann' }, { subject: 'ann' })
  const byIdentity: GrantSource = client.source(undefined, { identityProvider: client, signIn: source, subject: 'ann' })
  client.keeper(undefined, { identityProvider: client, signIn: async () => 'token', subjectTokenType: 'saml2', moment: () => ({ now: 0, seed: new Uint8Array(32) }) })
  await byIdentity.close()
  await source.close()
  await source[Symbol.asyncDispose]()
  const texts: string[] = [...keys, patient.accessToken, tokens.accessToken, ...tokens.scope, ...providers(), preset.issuer]
  const end: Date | undefined = tokens.expiresAt
  const reply: Response = await source.fetch('https://api.example/', { method: 'POST', body: '{}', signal })
  await source.fetch(new URL('https://api.example/'))
  await source.fetch(new Request('https://api.example/'))

  const { url, flow } = client.authorize({ redirectUri: 'https://app.example/cb', scope: 'openid', extra: { prompt: 'login' } })
  const again: PendingAuthorization = PendingAuthorization.deserialize(flow.serialize())
  const mine: Tokens = await client.redeem(again, url, { signal, timeoutMs: 1 })
  await client.refresh({ tokens: mine, scope: 'read' }, { signal })
  await client.revoke({ token: mine.accessToken, tokenTypeHint: 'access_token' })
  const state: IntrospectionResponse = await client.introspect({ token: mine.accessToken }, { signal, timeoutMs: 1 })
  if (state.active) texts.push(...(state.scope ?? []), state.subject ?? '', String(state.expiresAt?.getTime()))
  const verifier = new AccessTokenVerifier(found, { audience: 'https://api.example', profile: 'entra', scope: ['read'] })
  const shown: VerifiedAccessToken = await verifier.verify('t', { jkt: 'k', maxAge: 60, signal })
  const received: AccessTokenRequest = { method: 'GET', url: 'https://api.example/', authorization: undefined, dpop: ['p'], scope: 'read' }
  const proven: VerifiedAccessToken = await verifier.verifyRequest({ ...received, signal })
  const { dpopNonce, dpopReplayKey, dpopForgetAt }: { dpopNonce: string | undefined; dpopReplayKey: string | undefined; dpopForgetAt: Date | undefined } = proven
  const replayed: string | undefined = proven.dpopReplayChallenge
  const { headers } = new Request('https://api.example/')
  await verifier.verifyRequest({ ...received, authorization: headers.get('authorization'), dpop: headers.get('dpop') })
  texts.push(dpopNonce ?? '', dpopReplayKey ?? '', `${dpopForgetAt}`, replayed ?? '')
  new AccessTokenVerifier(found, { audience: 'https://api.example', dpopAlgs: ['ES256'], dpopMaxAge: 30, dpopNonceKey: new Uint8Array(32), dpopReplay: 'caller' })
  // @ts-expect-error a gateway has verified the proof, or this does
  await verifier.verifyRequest({ ...received, jkt: 'k' })
  // @ts-expect-error it is "process" or "caller"
  new AccessTokenVerifier(found, { audience: 'https://api.example', dpopReplay: 'never' })
  const signedIn: IdToken = await client.verifyIdToken({ token: 't', nonce: 'n', clientIds: ['phone'] })
  texts.push(signedIn.subject, signedIn.email ?? '')
  // @ts-expect-error it is "reject" or "ignore"
  await client.verifyIdToken({ token: 't', unexpectedNonce: 'none' })
  new AccessTokenVerifier(found, { audience: ['https://api.example', 'api'], profile: 'jwt' })
  const ended: LogoutToken = await client.verifyLogoutToken({ token: 't', replay: 'caller' })
  texts.push(shown.subject, ended.sid ?? '', client.endSessionUrl({ state: 's' }).href)
  const asking = AccessTokenVerifier.introspecting(client, { audience: 'https://api.example', cacheMaxAge: 30 })
  const asked: VerifiedAccessToken = await asking.verify('t', { scope: 'read' })
  texts.push(asked.subject)
  new Client(found, { clientId: 'id', clientAuth: assertionFunction(async ({ audience, expiresAt }) => `${audience.length}${expiresAt.getTime()}`, { audience: 'api://x', clientId: 'sent' }) })
  const rotating = privateKeyJwt(['new', 'old'], { alg: 'ES256' })
  texts.push(...rotating.publicJwks().keys.map(({ kid }) => kid ?? ''))
  // @ts-expect-error a secret has no public half
  clientSecretJwt('secret').publicJwks()
  // @ts-expect-error a function gives a string
  assertionFunction(() => 7)
  // @ts-expect-error a server that is asked signs no tokens
  AccessTokenVerifier.introspecting(client, { audience: 'https://api.example', algs: ['ES256'] })
  // @ts-expect-error there is no such profile
  new AccessTokenVerifier(found, { audience: 'https://api.example', profile: 'okto' })
  // @ts-expect-error a mistyped need would be none
  await verifier.verify('t', { scopes: 'read' })
  // @ts-expect-error an outcome does not change
  state.active = false
  // @ts-expect-error there is no such kind of token
  await client.revoke({ token: 't', tokenTypeHint: 'id_token' })
  // @ts-expect-error there is no such argument
  await client.revoke({ tokn: 't' })
  // @ts-expect-error arguments have names
  await client.introspect('t')
  await client.password({ username: 'u', password: 'p' })
  const code: DeviceAuthorizationResponse = await client.deviceAuthorization({ scope: 'openid', purpose: 'sign in' })
  const { deviceCode, expiresAt, interval } = code
  const page: string = code.verificationUriComplete ?? code.verificationUri
  const elsewhere: Tokens = await client.pollDeviceToken({ deviceCode, expiresAt, interval, scope: 'openid' }, { signal })
  // @ts-expect-error a code has an end
  await client.pollDeviceToken({ deviceCode })
  const request: BackchannelAuthenticationResponse = await client.backchannelAuthentication({ loginHint: 'ann', tokenDeliveryMode: 'ping', scope: 'openid' })
  // @ts-expect-error there is no such way
  await client.backchannelAuthentication({ tokenDeliveryMode: 'pong' })
  const clientNotificationToken: string = request.clientNotificationToken ?? ''
  await client.verifyPing({ authReqId: request.authReqId, clientNotificationToken, body: '{}' })
  await client.tokenExchange({ subjectToken: page, subjectTokenType: 'access_token', audience: ['b'] }, { timeoutMs: 1 })
  await client.jwtBearerWithKey({ key: 'k', issuer: 'i', claims: { a: 1 } })
  const got: IdentityAssertion = await client.requestIdentityAssertion({ subjectToken: elsewhere.idToken ?? '', issuer: 'https://as.example' })
  await client.redeemIdentityAssertion({ assertion: got.assertion })
  await login(client, { scope: 'openid', open: (page: URL) => console.log(page.href), port: 0, signal })

  const exchange: Exchange<Tokens> = client.exchange.clientCredentials({ scope: 'read' })
  const step: Step<Tokens> = exchange.begin()
  switch (step.kind) {
    case 'send': exchange.reply({ status: reply.status, headers: reply.headers, body: step.body }); break
    case 'sleep': setTimeout(() => exchange.elapsed(), step.ms); break
    case 'sign': exchange.signed(step.signingInput); break
    case 'done': texts.push(step.value.accessToken); break
    default: { const never: never = step; throw never }
  }
  const value: Tokens = await run(exchange, { fetch, signal, sign: async (job) => job.signingInput })
  await run(exchange, {
    send: async ({ method, url, headers, body, signal }) => {
      const reply = await fetch(url, { method, headers, body, signal })
      return { status: reply.status, headers: reply.headers, body: await reply.text() }
    },
  })
  const server: Server = await run(discovery('https://as.example'))
  const gone: void = await run(client.exchange.revoke({ token: value.accessToken }))
  console.log(end, server, gone, texts)

  const moment = (): Moment => ({ now: 1_750_000_000, seed: new Uint8Array(32) })
  client.authorize({ redirectUri: 'https://app.example/cb', moment })
  client.exchange.redeem(flow, url, { moment })
  client.exchange.refresh({ tokens: mine, scope: 'read' }, { moment })
  discovery('https://as.example', { moment })

  // @ts-expect-error a fetch answers with a status
  new Client(found, { clientId: 'id', fetch: async () => 'no' })
  // @ts-expect-error a secret is not optional by another name
  new Client(found, { clientId: 'id', secret: 's' })
  // @ts-expect-error no such method
  new Client(found, { clientId: 'id', clientAuth: 'private_key' })
  // @ts-expect-error tokens are made by servers
  new Tokens('access')
  // @ts-expect-error a stored flow is read first
  await client.redeem('{}', url)
  // @ts-expect-error read only
  tokens.accessToken = 'x'
}

export async function called(client: Client, pool: typeof fetch): Promise<number> {
  const tokens: Tokens = Tokens.bearer('text', { expiresAt: new Date() })
  const fake: TokenSource = { token: async () => tokens, renew: async (refused) => refused, invalidate() {} }
  const preset: Server = provider('usertesting')
  const own: Server = providerFile('name = "acme"', { variables: { tenant: 'staff' } })
  const fixed: FixedToken = fixedToken({ env: 'TOKEN' }, { origins: preset, expiresAt: new Date() })
  const sources: TokenSource[] = [
    fake, fixed, client.clientCredentials(), fixedToken('text', { origins: ['https://api.example'] }),
    fixedToken({ file: new URL('file:///token') }), fixedToken({ callback: async () => 'text' }), fixedToken({ callback: () => 'text' }),
  ]
  const api: Api = own.api({
    app: sources[0], user: fixed, onRateLimit: 'wait', longestWaitMs: 1000, allowance: { requests: 10, seconds: 60 }, fetch: pool,
    onWait: (ms: number) => console.log(ms),
  })
  const one: Api = client.clientCredentials().api({ allowance: 'documented', origins: [new URL('https://api.example')] })
  const owner: Owner = api.owner(new URL('https://api.example/user'))
  const onRateLimit: OnRateLimit = owner === 'user' ? 'pass' : 'error'
  const reply: Response = await one.fetch('https://api.example/', { method: 'POST', body: '{}', onRateLimit, longestWaitMs: 5 })
  await fixed.fetch('https://api.example/', { onRateLimit: 'wait' })
  // @ts-expect-error no such way
  await one.fetch('https://api.example/', { onRateLimit: 'retry' })
  // @ts-expect-error a source has three methods
  own.api({ app: { token: async () => tokens } })
  // @ts-expect-error two places
  const nowhere: FixedToken = fixedToken({ variable: 'TOKEN' })
  // @ts-expect-error APIs come from servers and sources
  new Api()
  return reply.status + (nowhere ? 1 : 0)
}

export async function kept(client: Client, store: Store, signal: AbortSignal): Promise<Tokens> {
  const stores: Store[] = [new FileStore('grants'), new FileStore(new URL('file:///grants')), new RedisStore('redis://localhost', { prefix: 'a:' })]
  client.clientCredentials({ store: stores[0] })
  const keys: string[] = await new FileStore('grants').keys()
  const gone: boolean = await new RedisStore('redis://localhost').remove(keys[0] ?? '')
  const postgres = new PostgresStore(new URL('postgres://localhost/db'), { timeoutMs: 1000 })
  await postgres.migrate()
  const schema: string = PostgresStore.SCHEMA
  stores.push(postgres, new SealedStore(new SealedStore(postgres, new Uint8Array(32)), schema, { old: ['text', new Uint8Array(32)] }))
  new SealedStore(store, 'key')
  const key: SealingKey = await SealingKey.fromKeyring(new URL('file:///locks'), { service: 'app' })
  const service: KeySource = { dataKey: () => ({ id: key.id, key: 'text' }), unwrapKey: async (id) => new Uint8Array(id.length) }
  new SealedStore({ load() { return null }, save: async () => 1, lease() {} }, service, { old: [key, service], names: key })
  new FileStore('grants', { access: 'group' })
  // @ts-expect-error
  new SqliteStore('grants.db', { access: 'all' })
  const keeper: Keeper = client.keeper(undefined, { subject: 'ann', scope: ['read'], leaseMs: 1000, shared: !gone })
  const mine: Tokens = await keep(keeper, { store, signal, fetch, onTokens: (tokens) => tokens.serialize() })
  const turn: Decision = keeper.ask(mine)
  if (turn.kind === 'use_token' || turn.kind === 'wait') return turn.tokens ?? mine
  let task: Task = keeper.begin()
  while (task.kind !== 'over') {
    switch (task.kind) {
      case 'load': task = keeper.loaded(await store.load(keeper.key)); break
      case 'lease': task = keeper.leased(await store.lease(keeper.key, task.holder, task.ms)); break
      case 'save': task = keeper.saved(await store.save(keeper.key, task.record, task.version)); break
      case 'run': await run(task.exchange).catch(() => {}); task = keeper.completed(); break
      case 'wait': task = keeper.elapsed(); break
      default: { const never: never = task; throw never }
    }
  }
  // @ts-expect-error keepers come from a client
  new Keeper()
  // @ts-expect-error no such grant
  client.keeper(undefined, { grantType: 'password' })
  // @ts-expect-error a store has three methods
  await keep(keeper, { store: { load() {} } })
  return task.tokens
}

export async function many(client: Client, store: Store, tokens: Tokens, signal: AbortSignal): Promise<number> {
  await new Grants(client, store)[Symbol.asyncDispose]()
  const sessions = new Grants(client, store, { capacity: 10, perSecond: 5, atOnce: 2, onEnded: (subject, error) => [subject, error.code] })
  await sessions.logIn('ann', tokens)
  const source: GrantSource = sessions.get('ann', { scope: ['read'] })
  const { grants, next } = await sessions.list()
  const ended: ErrorCode | undefined = grants[0]?.ended
  await sessions.logOut('ann')
  // @ts-expect-error a person's tokens have a subject
  await sessions.logIn(undefined, tokens)
  await source.drain({ timeoutMs: 1_000 })
  await drain({ signal })
  return (await sessions.renewIdle(1_000)).renewed + sessions.counters.stored_late + (next ?? ended ?? '').length
}

export async function behindAProxy(signal: AbortSignal): Promise<number> {
  const network = new Network({ ca: new URL('file:///etc/ca.pem'), proxy: 'direct', timeoutMs: 1_000 })
  const client = new Client(provider('socios'), { clientId: 'id', clientSecret: 'secret', network })
  await login(client, { redirectUri: 'http://127.0.0.1:7000/cb', paste: async () => undefined })
  // @ts-expect-error a network is made of options
  new Network('http://proxy.example')
  const fixed = fixedToken('text', { origins: ['https://api.example'], network })
  const reply: Response = await network.fetch(new URL('https://api.example'), { signal })
  return reply.status + (await fixed.api({ network }).fetch('https://api.example')).status
}

export function judge(error: unknown): string {
  if (error instanceof DeniedError) {
    const kind: 'denied' = error.kind
    return `${kind} ${error.status ?? 0} ${error.error ?? ''}`
  }
  if (error instanceof UntrustedError) {
    const code: UntrustedCode = error.code
    // @ts-expect-error a code of another class
    if (error.code === 'lost') return code
    // @ts-expect-error no such code
    if (error.code === 'callback.sate') return code
  }
  if (error instanceof MisuseError && error.code === 'resource.no_token_source') return error.advice
  if (error instanceof LostError) return `${error.advice} ${String(error.cause)}`
  if (error instanceof OAuthError) {
    const code: ErrorCode = error.code
    return `${code} ${error.retryAfter ?? 0}`
  }
  throw error
}

/** A key that signs elsewhere, and what a bank has granted. */
export async function held(jwk: Record<string, string>, sign: (input: Uint8Array) => Promise<Uint8Array>, tokens: Tokens): Promise<AuthorizationDetail[]> {
  const made: Promise<DpopKey> = DpopKey.generate()
  const key: DpopKey = jwk['kty'] === undefined ? await made : DpopKey.held(jwk, (step) => sign(step.signingInput), { alg: 'ES256' })
  const granted: AuthorizationDetail[] | undefined = tokens.authorizationDetails
  const missing = tokens.missingAuthorizationDetails([{ type: 'payment', actions: ['initiate'], amount: key.thumbprint }])
  return [...(granted ?? []), ...missing]
}

/** A person, with the types of the standard. */
export async function person(client: Client, tokens: Tokens): Promise<readonly [string, boolean | undefined, Date | undefined]> {
  const told: UserClaims = await client.userinfo({ tokens, subject: 'ann' })
  const again: UserClaims = userClaims(tokens.claims ?? {})
  const at: Address | undefined = told.address
  // @ts-expect-error the names of JSON are not those of the language
  const street = at?.street_address
  // @ts-expect-error a date of birth is a string, and may lack its year
  const born: Date | undefined = told.birthdate
  const lines = [at?.formatted, at?.streetAddress, at?.postalCode, at?.locality, at?.region, at?.country]
  const verified: boolean | undefined = again.phoneNumberVerified ?? told.emailVerified
  return [[told.name, street, born, ...lines].join(' '), verified, told.updatedAt]
}

/** Claims as the server sent them, with the names and types of the standards. */
export async function claims(client: Client, tokens: Tokens, verifier: AccessTokenVerifier): Promise<readonly unknown[]> {
  const signedIn = tokens.claims
  // @ts-expect-error not every grant has an ID token
  const missing: string = signedIn.sub
  const { claims: verified }: IdToken = await client.verifyIdToken({ token: 't', nonce: 'n' })
  const both: IdTokenClaims = signedIn ?? verified
  const [issuer, subject, expiry, issued]: [string, string, number, number] = [both.iss, both.sub, both.exp, both.iat]
  const audiences: readonly string[] = typeof both.aud === 'string' ? [both.aud] : both.aud
  const optional: readonly (string | undefined)[] = [both.nonce, both.acr, both.azp, both.email, both.name, both.given_name]
  const at: number | undefined = both.auth_time ?? both.updated_at
  // @ts-expect-error some servers send a string when they refresh
  const list: readonly string[] | undefined = both.amr
  const methods: readonly string[] = [both.amr ?? []].flat()
  // @ts-expect-error its type is not checked
  const session: string | undefined = both.sid
  const street: AddressClaim['street_address'] = both.address?.street_address
  // @ts-expect-error some servers send the text "false"
  const flag: boolean | undefined = both.email_verified
  const isVerified: boolean = both.email_verified === true
  // @ts-expect-error a claim of the server's own may be anything
  const roles: string[] = both['roles']
  // @ts-expect-error claims cannot be changed
  both.sub = 'eve'
  const userinfo: UserInfoClaims = (await client.userinfo({ tokens, subject })).claims
  const standard: StandardClaims = both.sub === userinfo.sub ? both : userinfo
  const access: AccessTokenClaims = (await verifier.verify('t')).claims
  const clientId: string | undefined = access.client_id ?? access.sub
  // @ts-expect-error a time is a number there
  const expires: Date = access.exp
  return [missing, issuer, expiry, issued, audiences, optional, at, list, methods, session, street, flag, isVerified, roles, standard.picture, clientId, expires]
}
