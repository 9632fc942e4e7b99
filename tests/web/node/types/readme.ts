// Compiled, never run: the lines of the README for Express, Hono and Fastify, as an application in TypeScript has them.
import express from 'express'
import Fastify from 'fastify'
import { Hono } from 'hono'
import { Site, type User } from 'oauth-core/web/express'
import type {} from 'oauth-core/web/fastify'
import { Site as SiteOfHono } from 'oauth-core/web/hono'

// What an application of SvelteKit says in src/app.d.ts.
declare global {
  namespace App {
    interface Locals {
      user?: User
    }
  }
}

const site = Site.fromEnv()

const ofExpress = express()
ofExpress.use(site.express())
ofExpress.get('/', (req, res) => { res.send(req.user?.name ?? 'stranger') })
// @ts-expect-error an open page has nobody
ofExpress.get('/open', (req, res) => { res.send(req.user.name) })
// Express does not tell a handler what runs before it.
ofExpress.get('/me', site.required, (req, res) => { res.send(req.user!.name) })
ofExpress.get('/pay', site.required({ acr: ['mfa'] }), (req, res) => { res.send(req.user!.acr) })
// @ts-expect-error it is somebody, and no text
const text: string | undefined = ofExpress.request.user

const siteOfHono = SiteOfHono.fromEnv()
const ofHono = new Hono()
ofHono.use(siteOfHono.hono())
ofHono.get('/', (c) => c.text(c.var.user?.name ?? 'stranger'))
// @ts-expect-error an open page has nobody
ofHono.get('/open', (c) => c.text(c.var.user.name))
ofHono.get('/me', siteOfHono.required, (c) => c.text(c.var.user.name))
ofHono.get('/pay', siteOfHono.required({ acr: ['mfa'] }), (c) => c.json([c.var.user.acr, c.get('user').name]))
// Of a site of no framework's, too, it is a middleware.
ofHono.get('/plain', site.required, (c) => c.text(c.var.user?.name ?? ''))

const ofFastify = Fastify()
ofFastify.register(site.fastify)
ofFastify.get('/', async (request) => request.user?.name)
// @ts-expect-error an open page has nobody
ofFastify.get('/open', async (request) => request.user.name)
ofFastify.get('/me', { preHandler: site.required }, async (request) => request.user!.name)

// Whatever needs no framework knows who it is.
export const loader = async ({ request }: { request: Request }): Promise<string> => (await site.required(request)).name
export const serve = site.wrap((request, user) => {
  // @ts-expect-error nobody may be there
  const name = user.name
  return new Response(name)
})
export const onSvelteKit = ({ locals }: { locals: App.Locals }): string | undefined => locals.user?.name
export { text }
