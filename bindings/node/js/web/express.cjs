'use strict'

// The adapter for Express 4 and 5, Connect, and plain `node:http`, which all pass a request, a response and `next`.

const { pipeline } = require('#host')
const { readBody } = require('./body.cjs')
const { textOfRaw } = require('./fields.cjs')
const { forgottenCallError, refuseArguments } = require('./forgotten-call.cjs')
const { signedIn } = require('./requirements.cjs')

const isCalled = (request, response, next) =>
  typeof next === 'function' && Array.isArray(request?.rawHeaders) && typeof response?.setHeader === 'function'

/**
 * The whole request target: routers remove the part of `url` that they have matched. The host is that of `headers`, which
 * middleware sets behind a proxy. Each member is read once: Express gives every request a prototype of its own, so that
 * engines find none of them in a cache.
 */
function requestParts(request) {
  const { method, originalUrl, rawHeaders, headers } = request
  return { method, host: headers.host, target: originalUrl ?? request.url, headerText: textOfRaw(rawHeaders), origin: rawHeaders, body: (limit) => readBody(request, limit) }
}

function send(response, { status, headers, body }) {
  response.statusCode = status
  for (const [name, value] of headers) {
    if (name === 'set-cookie') response.appendHeader(name, value)
    else response.setHeader(name, value)
  }
  if (typeof body === 'string') return response.end(body)
  // Ignores the error of a client that has disconnected.
  pipeline(body, response, () => {})
}

/** Sends the site's response, or calls `next` if the request is passed on to the application. */
function finishVisit({ reply, user }, request, response, next) {
  try {
    if (reply) return send(response, reply)
    request.user = user
  } catch (error) {
    return next(error)
  }
  return next()
}

/** Handles a request, synchronously if it has to wait for nothing; errors go to the application's error handler. */
function visitRequest(site, options, request, response, next) {
  let outcome
  try {
    outcome = site.visit(requestParts(request), options, request)
  } catch (error) {
    return next(error)
  }
  if (typeof outcome.then !== 'function') return finishVisit(outcome, request, response, next)
  return outcome.then((settled) => finishVisit(settled, request, response, next), next)
}

/** `input` is what `site.express` was called with: nothing, unless it was passed on without parentheses. */
function createMiddleware(site, input) {
  if (isCalled(...input)) return input[2](forgottenCallError('express'))
  refuseArguments('express', input)
  return (request, response, next) => visitRequest(site, undefined, request, response, next)
}

/** Handles the errors of ended grants, after the application's routes. All other errors go to `next`. */
function createErrorHandler(site, [thrown, ...call]) {
  if (isCalled(...call)) return call[2](forgottenCallError('expressErrors', thrown))
  refuseArguments('expressErrors', [thrown].filter(Boolean))
  return async (error, request, response, next) => {
    try {
      const reply = response.headersSent ? undefined : await site.ended(requestParts(request), request.user, error)
      return reply ? send(response, reply) : next(error)
    } catch (nextError) {
      return next(nextError)
    }
  }
}

function requiredUser(site, need, request, response, next) {
  if (need === undefined && site.isUserOf(request.rawHeaders, request.user)) return next()
  return visitRequest(site, signedIn(need), request, response, next)
}

module.exports = { createErrorHandler, createMiddleware, isCalled, requiredUser, requestParts }
