'use strict'

// Hono: middleware.

const { signedIn } = require('./requirements.cjs')
const { handle, responseOf, seen } = require('./standard.cjs')

const isCalled = (context, next) => typeof next === 'function' && typeof context?.req?.raw?.url === 'string'

async function visited(site, options, context, next) {
  const outcome = await handle(site, context.req.raw, options)
  if (outcome instanceof Response) return outcome
  site.remember(context.req.raw, outcome.user)
  context.set('user', outcome.user)
  await next()
  // What a handler throws is there by now, and its answer with it.
  const reply = context.error && (await site.ended(seen(context.req.raw), outcome.user, context.error))
  if (reply) context.res = responseOf(reply)
  return undefined
}

function middleware(site) {
  return (context, next) => visited(site, {}, context, next)
}

function required(site, need, context, next) {
  if (need === undefined && site.remembered(context.req.raw)) return next()
  return visited(site, signedIn(need), context, next)
}

module.exports = { isCalled, middleware, required }
