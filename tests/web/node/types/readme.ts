// Compiled, never run: the lines of the README for Express, Hono and Fastify, as an application in TypeScript has them.
import express from 'express'
import Fastify from 'fastify'
import { Hono } from 'hono'
import { Site } from 'oauth-core/web/express'
import type {} from 'oauth-core/web/fastify'
import type {} from 'oauth-core/web/hono'

const site = Site.fromEnv()

const ofExpress = express()
ofExpress.use(site.express())
ofExpress.get('/me', site.required, (req, res) => { res.send(req.user.name) })
ofExpress.get('/pay', site.required({ acr: ['mfa'] }), (req, res) => { res.send(req.user.acr) })

const ofHono = new Hono()
ofHono.use(site.hono())
ofHono.get('/me', site.required, (c) => c.text(c.var.user.name))

const ofFastify = Fastify()
ofFastify.register(site.fastify)
ofFastify.get('/me', { preHandler: site.required }, async (request) => request.user.name)

// @ts-expect-error it is somebody, and no text
const text: string = ofExpress.request.user
export { text }
