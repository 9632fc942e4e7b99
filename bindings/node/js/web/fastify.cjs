'use strict'

// Fastify: a plugin and a hook.

const { Readable } = require('#host')
const { bodyOf } = require('./body.cjs')
const { fieldsOf } = require('./express.cjs')
const { signedIn } = require('./requirements.cjs')

const isCalled = (request, reply) => Array.isArray(request?.raw?.rawHeaders) && typeof reply?.code === 'function'

function seen({ method, host, raw, originalUrl }) {
  return { method, host: raw.headers.host ?? host, target: originalUrl, headers: fieldsOf(raw), body: (limit) => bodyOf(raw, limit) }
}

async function visited(site, options, request, reply) {
  const { reply: said, user } = await site.visit(seen(request), { ...options, request })
  if (said === undefined) {
    site.remember(request, user)
    request.user = user
    return undefined
  }
  return answered(reply, said).send(bodyFor(said))
}

// To a text it would add its charset.
const bodyFor = ({ body }) => (typeof body === 'string' ? Buffer.from(body) : Readable.fromWeb(body))

function answered(reply, { status, headers }) {
  // It appends to `Set-Cookie`, and replaces other fields.
  for (const [name, value] of headers) reply.header(name, value)
  return reply.code(status)
}

/** Sends a person whose grant has ended to sign in, before the application's error handler. */
function errors(site, app) {
  const ended = new WeakMap()
  app.addHook('onError', async (request, reply, error) => {
    const said = await site.ended(seen(request), request.user, error)
    if (said) ended.set(request, said)
  })
  app.addHook('onSend', async (request, reply, payload) => {
    const said = ended.get(request)
    if (said === undefined) return payload
    for (const name of Object.keys(reply.getHeaders())) reply.removeHeader(name)
    answered(reply, said)
    return bodyFor(said)
  })
}

/** Hooks run for routes alone, so the site's pages are some: the hook answers before anybody reads a body. */
function plugin(site) {
  const register = async (app) => {
    app.decorateRequest('user', null)
    app.addHook('onRequest', (request, reply) => visited(site, {}, request, reply))
    errors(site, app)
    const handler = (request, reply) => reply.callNotFound()
    for (const path of site.paths) {
      const url = path.startsWith(app.prefix) ? path.slice(app.prefix.length) : path
      app.all(url, handler)
    }
  }
  // The application's own routes are guarded, and not those of the plugin alone.
  return Object.assign(register, { [Symbol.for('skip-override')]: true, [Symbol.for('fastify.display-name')]: 'oauth-core' })
}

async function required(site, need, request, reply) {
  if (need === undefined && site.remembered(request)) return undefined
  return visited(site, signedIn(need), request, reply)
}

module.exports = { isCalled, plugin, required }
