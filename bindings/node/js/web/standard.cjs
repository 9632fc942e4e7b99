'use strict'

// The adapter for frameworks with Fetch requests and responses: Next.js, React Router, Bun, Deno and others.

const { collectBytes } = require('./body.cjs')
const { OVER, signedIn } = require('./requirements.cjs')
const { User } = require('./user.cjs')

const isHeaders = (value) => typeof value?.get === 'function' && typeof value.entries === 'function' && value.url === undefined
const isRequest = (value) => typeof value?.url === 'string' && typeof value.headers?.get === 'function'
const isCalled = (first) => isRequest(first) || isHeaders(first)

/** The parts of a request; path and query are not decoded. */
function requestParts(request) {
  const { url, headers } = request
  const at = url.indexOf('/', url.indexOf('://') + 3)
  return {
    method: request.method,
    host: headers.get('host') ?? new URL(url).host,
    target: at < 0 ? '/' : url.slice(at).split('#', 1)[0],
    headers: headers.entries(),
    origin: headers,
    body: (limit) => collectBytes(request.body ?? [], limit),
  }
}

function toResponse({ status, headers, body }) {
  return new Response(body === '' ? null : body, { status, headers })
}

/** A response to send, or the user who is signed in. */
async function handle(site, request, options) {
  if (!isRequest(request)) throw new TypeError('request must be a Request')
  const { reply, user } = await site.visit(requestParts(request), options, request)
  return reply ? toResponse(reply) : { user }
}

/** Handles the site's own pages only. */
async function page(site, input) {
  // Loaders and actions pass the request as a member of an object.
  const outcome = await handle(site, isRequest(input) ? input : input?.request)
  return outcome instanceof Response ? outcome : new Response(null, { status: 404 })
}

function wrap(site, handler, options) {
  if (typeof handler !== 'function') throw new TypeError('handler must be a function: call site.wrap(handler), and pass on what it returns')
  return async (request, ...args) => {
    const outcome = await handle(site, request, options)
    if (outcome instanceof Response) return outcome
    try {
      return await handler(request, outcome.user, ...args)
    } catch (error) {
      // `required` throws responses.
      if (error instanceof Response) return error
      const reply = await site.ended(requestParts(request), outcome.user, error)
      if (reply === undefined) throw error
      return toResponse(reply)
    }
  }
}

/** The signed-in user. Otherwise, or once a call finds that the grant has ended, throws the response to send, as loaders do. */
async function requiredUser(site, need, first, second, third) {
  if (isHeaders(first)) return requiredUserAt(site, third ?? need, first, second)
  const outcome = await handle(site, first, signedIn(second ?? need))
  if (outcome instanceof Response) throw outcome
  const { user } = outcome
  return User.setLeave(user, async (error) => {
    throw toResponse(await site.ended(requestParts(first), user, error))
  })
}

/** The header field of a script's request, which is answered with the login page's URL rather than a redirect. */
const AS_SCRIPT = [['accept', 'application/json']]
const NAVIGATION_FIELDS = /^(accept|purpose|sec-|x-moz|x-purpose)/

/** The signed-in user, or the login page to redirect to, where neither other responses nor cookies can be sent. */
async function userOrLoginLocation(site, options, headers, target) {
  if (typeof target !== 'string' || !target.startsWith('/')) throw new TypeError('with headers, the second argument must be the path of the page')
  const remainingHeaders = [...headers.entries()].filter(([name]) => !NAVIGATION_FIELDS.test(name))
  const request = { method: 'GET', host: headers.get('host'), target, headers: [...remainingHeaders, ...AS_SCRIPT] }
  const { reply, user } = await site.visit(request, options)
  if (reply === undefined) return { user }
  const signIn = reply.problem?.signIn
  if (typeof signIn !== 'string') throw toResponse(reply)
  return { location: `${signIn}${signIn.includes('?') ? '&' : '?'}return_to=${encodeURIComponent(site.full(target))}` }
}

async function requiredUserAt(site, need, headers, target) {
  const { user, location } = await userOrLoginLocation(site, signedIn(need), headers, target)
  if (location !== undefined) return site.leave(location)
  return User.setLeave(user, async () => site.leave((await userOrLoginLocation(site, OVER, headers, target)).location))
}

module.exports = { handle, isCalled, userOrLoginLocation, page, requiredUser, requestParts, toResponse, wrap }
