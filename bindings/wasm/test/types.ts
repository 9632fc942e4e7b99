// What a typed page may write, and what it may not. Checked by test/package.test.js; never run.

import { useSession } from 'oauth-core-web/react'
import { monitorSession, type SessionMonitor } from 'oauth-core-web/session-management'
import { useSession as useVueSession } from 'oauth-core-web/vue'
import { DeniedError, fixedToken, handleCallback, OAuthError, providers, restore, Session, signIn, type Address, type AddressClaim, type AuthorizationDetail, type AuthorizationWarning, type Change, type Config, type ErrorCode, type FixedToken, type IdTokenClaims, type Snapshot, type StandardClaims, type UserClaims, type UserInfoClaims } from 'oauth-core-web'

const config: Config = { provider: 'uservoice', variables: { subdomain: 'acme' }, clientId: 'id', redirectUri: 'x' }
const session: Session | null = await handleCallback(config)
const monitor: SessionMonitor | undefined = monitorSession({ checkSessionIframe: 'x', clientId: 'id', sessionState: null, onChange: () => signIn(config, { extra: { prompt: 'none' } }) })
monitor?.stop()
const status: number | undefined = (await session?.fetch('/api', { method: 'POST' }))?.status
const fixed: FixedToken = fixedToken('text', { origins: ['https://api.example'], expiresAt: new Date(), onRateLimit: 'wait' })
await fixed.fetch('/api', { onRateLimit: 'pass', longestWaitMs: 1000 })
const token: string | undefined = await session?.token()
const patient: string | undefined = await session?.token({ signal: AbortSignal.timeout(1), timeoutMs: 1000 })
const again: Session = await signIn(config, { scope: 'read', mode: 'popup', extra: { prompt: 'login' } })
const back: string | undefined = (await signIn({ ...config, responseMode: 'fragment' }, { returnTo: '/orders' })).returnTo
// React's own signature.
declare function useSyncExternalStore<T>(subscribe: (changed: () => void) => () => void, get: () => T): T
const snapshot: Snapshot = useSyncExternalStore(again.subscribe, again.getSnapshot)
const end: Date | undefined = snapshot.signedIn ? snapshot.expiresAt : undefined
const stop: () => void = again.subscribe((change: Change) => change.kind === 'ended' && stop())
const waited: Session = await restore(config, { wait: true, signal: AbortSignal.timeout(1) })
const codes: ErrorCode[] = []
const flaws: AuthorizationWarning[] = []
export const watched: Config = { ...config, observe: (event) => event.kind === 'authorize' && flaws.push(...event.warnings) }
const names: readonly string[] = providers
try {
  await (await restore(config))?.signOut()
} catch (error) {
  if (error instanceof OAuthError && error.advice === 'reauthorize') await signIn(config)
  if (error instanceof OAuthError) codes.push(error.code)
  if (error instanceof DeniedError && error.code === 'denied.access_denied') codes.push(error.code)
  // @ts-expect-error no such code
  if (error instanceof DeniedError && error.code === 'denied.acces_denied') codes.push(error.code)
}
export { again, back, codes, end, names, patient, status, token, waited }

// @ts-expect-error a secret has no place in a page
export const withSecret: Config = { ...config, clientSecret: 'secret' }
// @ts-expect-error a form cannot be posted to a page
export const posted: Config = { ...config, responseMode: 'form_post' }
export const hybrid: Config = { ...config, responseType: 'code id_token' }
// @ts-expect-error no such way
export const impatient: Config = { ...config, onRateLimit: 'retry' }
// @ts-expect-error a session comes from signing in
export const made = new Session()

export function payments(session: Session): string[] {
  const requested: AuthorizationDetail = { type: 'payment', actions: ['initiate'], amount: '12.50' }
  // @ts-expect-error each has a type
  session.missingAuthorizationDetails([{ actions: ['initiate'] }])
  const missing = session.missingAuthorizationDetails([requested]).map(({ type }) => type)
  return [...missing, ...(session.authorizationDetails ?? []).flatMap(({ locations }) => locations ?? [])]
}

/** The names that Node.js has too, and the earlier ones. */
export function named(claims: IdTokenClaims, userinfo: UserInfoClaims): readonly [StandardClaims, UserClaims, Address | undefined] {
  const address: AddressClaim | undefined = claims.address ?? userinfo.address
  return [claims, userinfo, address]
}

export async function person(session: Session): Promise<readonly [string, boolean, string | undefined, Date]> {
  const userinfo: UserClaims = await session.userinfo()
  const at: Address | undefined = userinfo.address
  const signedIn: string | undefined = session.claims?.sub
  const [issuer, expiry]: [string | undefined, number | undefined] = [session.claims?.iss, session.claims?.exp]
  // @ts-expect-error a string is not a number
  const wrong: number | undefined = userinfo.birthdate
  // @ts-expect-error the standard has no such member
  const street = at?.street
  // @ts-expect-error a claim of the server's own may be anything
  const groups: string[] = userinfo['groups']
  const lines = [at?.formatted, at?.street_address, at?.postal_code, at?.locality, at?.region, at?.country]
  const shown = [userinfo.name, signedIn, issuer, expiry, userinfo['name#ja'], wrong, street, groups, ...lines].join(' ')
  const isVerified = userinfo.email_verified === true && userinfo.phone_number_verified !== false
  return [shown, isVerified, userinfo.phone_number, new Date((userinfo.updated_at ?? 0) * 1000)]
}

export function account(): string {
  const { isLoading, user, signIn, signOut, fetch, until } = useSession({ prefix: '/auth' })
  const refs = useVueSession()
  signIn({ returnTo: '/me' })
  signOut()
  void fetch('/api').then((reply) => reply.status)
  // @ts-expect-error nobody may be there
  const name = user.name
  return isLoading ? String(name) : (user?.name ?? refs.user.value?.sub ?? until?.toISOString() ?? '')
}

export async function accountWithoutServer(): Promise<string> {
  const { user, session, signIn, signOut, fetch, until, error } = useSession({ config })
  const refs = useVueSession({ config })
  await signIn({ mode: 'popup', scope: 'openid profile', loginHint: 'ann' })
  await signOut({ returnTo: '/bye' })
  const { status } = await fetch('https://api.example/me', { onRateLimit: 'wait' })
  const claims: UserClaims | undefined = refs.user.value
  const tokens: Session | undefined = session ?? refs.session.value
  // @ts-expect-error the page has one server
  await signIn({ provider: 'other' })
  // @ts-expect-error tokens are at the server, or in the page
  useSession({ prefix: '/auth', config })
  // @ts-expect-error tokens at the server are out of reach
  void useSession().session
  // @ts-expect-error nobody may be there
  return [user.sub, user?.email, claims?.name, tokens?.scope, status, until, error].join(' ')
}
