// What a typed page may write, and what it may not. Checked by test/package.test.js; never run.

import { DeniedError, fixedToken, handleCallback, OAuthError, providers, restore, Session, signIn, type Config, type ErrorCode, type FixedToken } from 'oauth-core-web'

const config: Config = { provider: 'uservoice', variables: { subdomain: 'acme' }, clientId: 'id', redirectUri: 'x' }
const session: Session | null = await handleCallback(config)
const status: number | undefined = (await session?.fetch('/api', { method: 'POST' }))?.status
const fixed: FixedToken = fixedToken('text', { origins: ['https://api.example'], expiresAt: new Date(), rateLimit: 'wait' })
await fixed.fetch('/api', { rateLimit: 'pass', longestWaitMs: 1000 })
const token: string | undefined = await session?.token()
const again: Session = await signIn(config, { scope: 'read', mode: 'popup', extra: { prompt: 'login' } })
const codes: ErrorCode[] = []
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
export { again, codes, names, status, token }

// @ts-expect-error a secret has no place in a page
export const withSecret: Config = { ...config, clientSecret: 'secret' }
// @ts-expect-error no such way
export const impatient: Config = { ...config, rateLimit: 'retry' }
// @ts-expect-error a session comes from signing in
export const made = new Session()
