'use strict'

// SvelteKit: the `handle` hook.

const { optionsOf } = require('../options.cjs')
const { handle: visited, ledTo } = require('./standard.cjs')

/** Whether one of these paths is this page, or above it. */
function isBelow(paths) {
  return ({ url: { pathname } }) => paths.some((path) => pathname === path || pathname.startsWith(`${path.replace(/\/$/, '')}/`))
}

/** Whoever clicks on a link to a page asks for its data first; what the router's script reads leads to the login. */
async function led(site, { request, url }) {
  const { location } = await ledTo(site, undefined, request.headers, url.pathname + url.search)
  return location === undefined ? undefined : Response.json({ type: 'redirect', location })
}

/** The `handle` hook: `protect` names what is for people who are signed in. */
function handle(site, options) {
  const { protect = [] } = optionsOf('site.sveltekit', options)
  const isProtected = typeof protect === 'function' ? protect : isBelow([protect].flat())
  return async ({ event, resolve }) => {
    const isFor = isProtected(event)
    const elsewhere = isFor && event.isDataRequest ? await led(site, event) : undefined
    if (elsewhere !== undefined) return elsewhere
    const outcome = await visited(site, event.request, isFor ? { access: 'signed_in' } : {})
    if (outcome instanceof Response) return outcome
    event.locals.user = outcome.user
    return resolve(event)
  }
}

module.exports = { handle }
