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
  // It adds up `Set-Cookie`, and replaces what else there is.
  for (const [name, value] of said.headers) reply.header(name, value)
  // To a text it would add its charset.
  return reply.code(said.status).send(typeof said.body === 'string' ? Buffer.from(said.body) : Readable.fromWeb(said.body))
}

/** Hooks run for routes alone, so the site's pages are some: the hook answers before anybody reads a body. */
function plugin(site) {
  const register = async (app) => {
    app.decorateRequest('user', null)
    app.addHook('onRequest', (request, reply) => visited(site, {}, request, reply))
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
