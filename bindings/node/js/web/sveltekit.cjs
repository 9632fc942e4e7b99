'use strict'

// The adapter for SvelteKit: the `handle` hook.

const { checkOptions } = require('../options.cjs')
const { forgottenCallError } = require('./forgotten-call.cjs')
const { OVER, signedIn } = require('./requirements.cjs')
const { handle: visited, userOrLoginLocation, toResponse, requestParts } = require('./standard.cjs')
const { User } = require('./user.cjs')

const isBelow = (path, pathname) => pathname === path || pathname.startsWith(`${path.replace(/\/$/, '')}/`)

/** Decodes a path as SvelteKit does before it matches routes. A path that it cannot decode matches none. */
function decoded(pathname) {
  try {
    return pathname.split('%25').map(decodeURI).join('%25')
  } catch {
    return pathname
  }
}

/** A route's id without its groups, which no path contains. SvelteKit shows this page, regardless of the URL. */
const pathOfRoute = (route) => route?.id?.replace(/\/\([^/]+\)(?=\/|$)/g, '') ?? ''

/** The number of characters by which a page's path exceeds a listed path; infinite if the page is not below it. */
const extraLength = (path, page) => (isBelow(path, page) ? page.length - path.replace(/\/$/, '').length : Infinity)

const findRequirements = (protect) =>
  (typeof protect === 'string' || Array.isArray(protect) ? [protect].flat().map((path) => [path, {}]) : Object.entries(protect))

/**
 * The requirements of a page: those of the listed path that equals it or is its nearest ancestor. A page has two paths, and both
 * count: its route's, which determines the page if the application reroutes; and the decoded path of the URL, with or without
 * the site's base, which determines the parameters of the route.
 */
function requirementsByPath(protect, encodedBase) {
  const base = decoded(encodedBase)
  const listed = findRequirements(protect).map(([path, need]) => [decoded(path), need])
  const nearest = (paths) => {
    const found = listed.map(([path, need]) => [Math.min(...paths.map((page) => extraLength(path, page))), need])
    return found.filter(([far]) => far < Infinity).sort(([a], [b]) => a - b)[0]?.[1]
  }
  return ({ url, route }) => {
    const pathname = decoded(url.pathname)
    const inside = isBelow(base, pathname) ? pathname.slice(base.length) || '/' : pathname
    const needs = [nearest([pathOfRoute(route)]), nearest([inside, pathname])]
    return [...new Set(needs)].filter((need) => need !== undefined)
  }
}

/** The requirements of a page from a function of the application, which returns a boolean or the requirements. */
function requirementsFromFunction(protect) {
  return (event) => {
    const requirements = protect(event)
    if (!requirements) return []
    return [requirements === true ? {} : requirements]
  }
}

/** A click on a link requests the page's data first, so the router's script gets the redirect to the login. */
async function redirectDataRequest(site, options, { request, url }) {
  const { location } = await userOrLoginLocation(site, options, request.headers, url.pathname + url.search)
  return location === undefined ? undefined : Response.json({ type: 'redirect', location })
}

/** Whether a page may have thrown: its status is then 500, but its data request contains the error with status 200. */
const hasFailed = (event, page) => event.isDataRequest || page.status === 500

/** The response that replaces a page after one of its calls found that the user's grant has ended. */
async function loginResponse(site, event) {
  if (event.isDataRequest) return redirectDataRequest(site, OVER, event)
  const { reply } = await site.visit(requestParts(event.request), OVER)
  return toResponse(reply)
}

/** The `handle` hook: `protect` lists the paths for signed-in users, with their requirements. */
function handle(site, options) {
  if (typeof options?.resolve === 'function') throw forgottenCallError('sveltekit')
  const { protect = [] } = checkOptions('site.sveltekit', options)
  const needed = typeof protect === 'function' ? requirementsFromFunction(protect) : requirementsByPath(protect, site.base)
  return async ({ event, resolve }) => {
    const needs = needed(event)
    let outcome
    for (const options of needs.length > 0 ? needs.map(signedIn) : [{}]) {
      const redirect = needs.length > 0 && event.isDataRequest ? await redirectDataRequest(site, options, event) : undefined
      if (redirect !== undefined) return redirect
      outcome = await visited(site, event.request, options)
      if (outcome instanceof Response) return outcome
    }
    event.locals.user = outcome.user
    const page = await resolve(event)
    return User.isOver(outcome.user) && hasFailed(event, page) ? loginResponse(site, event) : page
  }
}

module.exports = { handle }
