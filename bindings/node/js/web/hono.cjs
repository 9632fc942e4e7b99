'use strict'

// The adapter for Hono: middleware.

const { refuseArguments } = require('./forgotten-call.cjs')
const { signedIn } = require('./requirements.cjs')
const { handle, toResponse, requestParts } = require('./standard.cjs')

const isCalled = (context, next) => typeof next === 'function' && typeof context?.req?.raw?.url === 'string'

async function visitRequest(site, options, context, next) {
  const outcome = await handle(site, context.req.raw, options)
  if (outcome instanceof Response) return outcome
  context.set('user', outcome.user)
  await next()
  // Hono has already caught what a handler threw, and stored it with its response.
  const reply = context.error && (await site.ended(requestParts(context.req.raw), outcome.user, context.error))
  if (reply) context.res = toResponse(reply)
  return undefined
}

/** `input` is what `site.hono` was called with: nothing, unless it was passed on without parentheses. */
function createMiddleware(site, input) {
  refuseArguments('hono', input)
  return (context, next) => visitRequest(site, {}, context, next)
}

function requiredUser(site, need, context, next) {
  if (need === undefined && site.isUserOf(context.req.raw.headers, context.get('user'))) return next()
  return visitRequest(site, signedIn(need), context, next)
}

module.exports = { createMiddleware, isCalled, requiredUser }
