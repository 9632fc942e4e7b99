// The test application for signed-in users, written with the requests and responses of the Fetch standard: it runs in
// any runtime.

export const hello = (user) => `Hello, ${user?.name ?? 'stranger'}`
export const describeCart = (user) => `${user.subject} has ${user.local.cart}`
export const describePut = (user, body) => `${user.subject} puts ${body}`
/** The status of an API that is called with the person's token, or the code of the error. */
export const statusOrCode = (api) => (user) => user.fetch(api).then(({ status }) => String(status), ({ code }) => code)

/** The status of such a call, for a page that leaves errors to the site. */
export const apiStatus = (api) => async (user) => String((await user.fetch(api)).status)

/** The `admit` functions of the application, by name. */
export const admitFunctions = ({ Refuse }) => ({
  cart: () => ({ cart: 3 }),
  closed: ({ subject, claims }, request) => new Refuse(`this shop is closed to ${subject}, ${claims.name}, ${request !== undefined}`),
  broken: () => { throw new Error('the database is away') },
})

/** The standard handler. */
export function standard(site, { api }) {
  const pages = {
    'GET /': async (request, user) => hello(user),
    'GET /me': async (request) => describeCart(await site.required(request)),
    'GET /deep/me': async (request) => describeCart(await site.required(request)),
    'POST /cart': async (request) => describePut(await site.required(request), await request.text()),
    'GET /pay': async (request) => (await site.required(request, { acr: ['mfa'] })).acr,
    'GET /call': async (request) => statusOrCode(api)(await site.required(request)),
    'GET /echo': async (request) => apiStatus(api)(await site.required(request)),
  }
  return site.wrap(async (request, user) => {
    const page = pages[`${request.method} ${new URL(request.url).pathname}`]
    return page ? new Response(await page(request, user)) : new Response('nothing here', { status: 404 })
  })
}

export const hono = (Hono) => (site, { api }) => {
  const deep = new Hono().get('/me', site.required, (c) => c.text(describeCart(c.var.user)))
  const app = new Hono()
  app.use(site.hono())
  app.get('/', (c) => c.text(hello(c.var.user)))
  app.get('/me', site.required, (c) => c.text(describeCart(c.var.user)))
  app.post('/cart', site.required, async (c) => c.text(describePut(c.var.user, await c.req.text())))
  app.get('/pay', site.required({ acr: ['mfa'] }), (c) => c.text(c.var.user.acr))
  app.get('/call', site.required, async (c) => c.text(await statusOrCode(api)(c.var.user)))
  app.get('/echo', site.required, async (c) => c.text(await apiStatus(api)(c.var.user)))
  app.route('/deep', deep)
  app.onError((_, c) => c.text('failed', 500))
  return app.fetch
}
