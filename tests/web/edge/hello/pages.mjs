// The settings and the pages of a handler of the Fetch standard, which is the same in all runtimes.
export const settings = ({ OAUTH_ISSUER: issuer, HELLO_RESPONSE_MODE: responseMode }) => ({
  scope: 'openid read offline_access',
  apiOrigins: [issuer],
  // Pages call it with a token that they never see.
  api: { twin: { url: `${issuer}/api`, methods: ['GET', 'POST'] } },
  responseMode,
})

const pages = {
  '/me': (user) => user.subject,
  '/pay': (user) => `paid by ${user.acr}`,
  '/fetch': async (user, api) => String((await user.fetch(api)).status),
}
const needs = { '/pay': { acr: ['mfa'] } }

export const handler = (site, api) => site.wrap(async (request, user) => {
  const { pathname } = new URL(request.url)
  if (pathname === '/') return new Response(`Hello, ${user?.subject ?? 'stranger'}`)
  const page = pages[pathname]
  if (page === undefined) return new Response('nothing here', { status: 404 })
  return new Response(await page(await site.required(request, needs[pathname]), api))
})
