'use strict'

// The adapter for Fastify: a plugin and a hook.

const { Readable } = require('#host')
const { readBody } = require('./body.cjs')
const { textOfRaw } = require('./fields.cjs')
const { signedIn } = require('./requirements.cjs')

const isCalled = (request, reply) => Array.isArray(request?.raw?.rawHeaders) && typeof reply?.code === 'function'

function requestParts({ method, host, raw, originalUrl }) {
  const { rawHeaders } = raw
  return { method, host: raw.headers.host ?? host, target: originalUrl, headerText: textOfRaw(rawHeaders), origin: rawHeaders, body: (limit) => readBody(raw, limit) }
}

async function visitRequest(site, options, request, reply) {
  const { reply: response, user } = await site.visit(requestParts(request), options, request)
  if (response === undefined) {
    request.user = user
    return undefined
  }
  return writeHead(reply, response).send(bodyFor(response))
}

// Fastify would add a charset to the content type of a string.
const bodyFor = ({ body }) => (typeof body === 'string' ? Buffer.from(body) : Readable.fromWeb(body))

function writeHead(reply, { status, headers }) {
  // `reply.header` appends to `Set-Cookie`, and replaces other fields.
  for (const [name, value] of headers) reply.header(name, value)
  return reply.code(status)
}

/** Redirects a user whose grant has ended to the sign-in, before the application's error handler runs. */
function setErrorHandler(site, app) {
  const ended = new WeakMap()
  app.addHook('onError', async (request, reply, error) => {
    const response = await site.ended(requestParts(request), request.user, error)
    if (response) ended.set(request, response)
  })
  app.addHook('onSend', async (request, reply, payload) => {
    const response = ended.get(request)
    if (response === undefined) return payload
    for (const name of Object.keys(reply.getHeaders())) reply.removeHeader(name)
    writeHead(reply, response)
    return bodyFor(response)
  })
}

/** Registers the site's pages as routes, because hooks run only for routes. The hook responds before the body is read. */
function plugin(site) {
  const register = async (app) => {
    if (typeof app?.decorateRequest !== 'function') throw new TypeError('site.fastify is the plugin itself: app.register(site.fastify), without parentheses')
    app.decorateRequest('user')
    app.addHook('onRequest', (request, reply) => visitRequest(site, undefined, request, reply))
    setErrorHandler(site, app)
    const handler = (request, reply) => reply.callNotFound()
    for (const path of site.paths) {
      const url = path.startsWith(app.prefix) ? path.slice(app.prefix.length) : path
      app.all(url, handler)
    }
  }
  // Without encapsulation, so that the hook guards the application's own routes as well.
  return Object.assign(register, { [Symbol.for('skip-override')]: true, [Symbol.for('fastify.display-name')]: 'oauth-core' })
}

async function requiredUser(site, need, request, reply) {
  if (need === undefined && site.isUserOf(request.raw.rawHeaders, request.user)) return undefined
  return visitRequest(site, signedIn(need), request, reply)
}

module.exports = { isCalled, plugin, requiredUser }
