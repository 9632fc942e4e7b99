'use strict'

// SvelteKit: the `handle` hook.

const { optionsOf } = require('../options.cjs')
const { OVER, signedIn } = require('./requirements.cjs')
const { handle: visited, ledTo, responseOf, seen } = require('./standard.cjs')
const { User } = require('./user.cjs')

const isBelow = (path, pathname) => pathname === path || pathname.startsWith(`${path.replace(/\/$/, '')}/`)

/** The requirements of a page: those of the longest listed path that equals the page's path or is an ancestor of it. */
function neededBelow(protect) {
  const paths = typeof protect === 'string' || Array.isArray(protect) ? [protect].flat().map((path) => [path, {}]) : Object.entries(protect)
  const longestFirst = paths.sort(([one], [other]) => other.length - one.length)
  return ({ url: { pathname } }) => longestFirst.find(([path]) => isBelow(path, pathname))?.[1]
}

/** The same, from a function of the application that returns a boolean or the requirements. */
function neededAs(protect) {
  return (event) => {
    const said = protect(event)
    return said === true ? {} : said || undefined
  }
}

/** A click on a link requests the data of the page first: the router's script gets a redirect to the login. */
async function led(site, options, { request, url }) {
  const { location } = await ledTo(site, options, request.headers, url.pathname + url.search)
  return location === undefined ? undefined : Response.json({ type: 'redirect', location })
}

/** Whether a page may have thrown: then it has status 500, but its data contain the error with status 200. */
const hasFailed = (event, page) => event.isDataRequest || page.status === 500

/** The response in place of a page that has found that the person's grant has ended. */
async function again(site, event) {
  if (event.isDataRequest) return led(site, OVER, event)
  const { reply } = await site.visit(seen(event.request), OVER)
  return responseOf(reply)
}

/** The `handle` hook: `protect` names what is for people who are signed in, and what else is needed there. */
function handle(site, options) {
  const { protect = [] } = optionsOf('site.sveltekit', options)
  const needed = typeof protect === 'function' ? neededAs(protect) : neededBelow(protect)
  return async ({ event, resolve }) => {
    const need = needed(event)
    const options = need ? signedIn(need) : {}
    const elsewhere = need && event.isDataRequest ? await led(site, options, event) : undefined
    if (elsewhere !== undefined) return elsewhere
    const outcome = await visited(site, event.request, options)
    if (outcome instanceof Response) return outcome
    event.locals.user = outcome.user
    const page = await resolve(event)
    return User.isOver(outcome.user) && hasFailed(event, page) ? again(site, event) : page
  }
}

module.exports = { handle }
