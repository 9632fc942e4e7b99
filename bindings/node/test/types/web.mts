// Compiled, never run: what the types of a site allow, and what they refuse.
import { Client, MemoryStore, provider } from 'oauth-core'
import { Refuse, Site, User } from 'oauth-core/web'
import { Site as NextSite } from 'oauth-core/web/next'
import type { Identity } from 'oauth-core/web'

export async function use(request: Request): Promise<Response> {
  const client = new Client(provider('google'), { clientId: 'id', clientSecret: 's' })
  const site = new Site({
    baseUrl: 'https://shop.example', key: new Uint8Array(32), client, scope: 'openid offline_access', store: new MemoryStore(),
    admit: async (who: Identity) => (who.claims.email_verified === true ? { cart: 3 } : new Refuse('verify your address')),
    log: ({ code, detail }) => console.log(code, detail),
  })
  new Site({ baseUrl: ['https://a.example'], key: 'k', providers: [{ id: 'a', client: async () => client, title: 'A' }] })
  new Site({
    baseUrl: 'https://shop.example', key: 'k', client, store: new MemoryStore(),
    identity: { url: 'https://api.example/me', subject: 'id', claims: { picture: 'avatar_url' } },
    api: { orders: 'https://api.example/orders', pay: { url: new URL('https://pay.example'), methods: ['POST'] } },
  })
  const cookie: string = await site.testing({ subject: 'ann', claims: { name: 'Ann' }, acr: 'mfa' })
  new Request('https://shop.example/', { headers: { cookie } })
  const outcome = await site.handle(request, { access: 'signed_in' })
  if (outcome instanceof Response) return outcome
  const user: User | undefined = outcome.user
  const who: User = await site.required(request)
  const more: User = await site.required(request, { acr: ['mfa'], maxAge: 300 })
  const texts: string[] = [who.name, who.subject, more.email ?? '', user?.issuer ?? '', ...who.scope]
  const [picture, roles]: [string | undefined, unknown] = [who.claims.picture, more.claims['roles']]
  texts.push(picture ?? String(roles))
  // @ts-expect-error a name is a string
  const wrong: number | undefined = who.claims.name
  texts.push(String(wrong))
  const reply = await who.fetch('https://api.example/', { method: 'POST', body: texts.join(' ') })
  const next = NextSite.fromEnv({ redirect: () => { throw new Error('elsewhere') } })
  const named: NextSite = next
  await named.required(request.headers, '/me', { scope: 'read' })
  const { GET, POST } = next.routes
  await POST(await GET(request).then(() => request))
  const strict = site.required({ acr: 'mfa' })
  await strict(request)
  const served = site.wrap((_, person) => new Response(person?.name ?? reply.statusText))
  // @ts-expect-error nobody may be there
  site.wrap((_, person) => new Response(person.name))
  type ExpressMiddleware = (request: Request, response: object, next: (error?: unknown) => void) => void
  const middleware: ExpressMiddleware = site.express()
  // @ts-expect-error the parentheses are forgotten
  const forgotten: ExpressMiddleware = site.express
  // @ts-expect-error here too
  const inert: ExpressMiddleware = site.expressErrors
  // @ts-expect-error as an error handler too, whose first parameter is anything
  const unhandled: (error: any, ...others: Parameters<ExpressMiddleware>) => void = site.expressErrors
  // @ts-expect-error and with Hono
  const hono: (context: object, next: () => Promise<void>) => unknown = site.hono
  // @ts-expect-error a guard is passed on without parentheses
  site.required()
  void [middleware, forgotten, inert, unhandled, hono]
  // @ts-expect-error a site has a key
  new Site({ baseUrl: 'https://shop.example', client })
  // @ts-expect-error there is no such access
  new Site({ baseUrl: 'https://shop.example', key: 'k', client, access: 'closed' })
  // @ts-expect-error users come with requests
  new User()
  return served(request)
}
