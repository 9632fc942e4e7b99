// Plays the sign-in vectors of `tests/vectors/web` against any site.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { root } from './helper.mjs'
import { Browser as Person } from './web-checks.mjs'

export { siteSettings } from './web-sign-in-settings.mjs'

export const SHOP = 'https://shop.example'
const read = (name) => JSON.parse(readFileSync(path.join(root, `tests/vectors/web/${name}.json`), 'utf8'))
const files = ['sign_ins', 'pages', 'cookies', 'security', 'complaints'].map(read)
const [{ subject }] = files
export const signIns = files.flatMap(({ sign_ins: signIns }) => signIns)

const SITES = { elsewhere: 'cross-site', sibling: 'same-site', own: 'same-origin', typed: 'none' }
const ORIGINS = { elsewhere: 'https://elsewhere.example', sibling: 'https://evil.shop.example' }
const FORM = 'application/x-www-form-urlencoded'
const attribute = (attributes, name) => attributes.find((one) => one.startsWith(name))?.slice(name.length)

/** The kind of a cookie of the site, by its name. */
function cookieKind(cookie, name) {
  assert.ok(cookie.startsWith(`__Host-Http-${name}`), cookie)
  return cookie.slice(`__Host-Http-${name}`.length).split('-')[1] ?? 'session'
}

/** A cookie by its kind, what becomes of it, and how long it lives. */
function describeCookie(field, name) {
  const [pair, ...attributes] = field.split('; ')
  for (const expected of ['Secure', 'HttpOnly', 'Path=/']) assert.ok(attributes.includes(expected), field)
  assert.equal(attribute(attributes, 'Domain'), undefined)
  const kind = cookieKind(pair.split('=', 1)[0], name)
  const seconds = attribute(attributes, 'Max-Age=')
  return [`${kind} ${seconds === '0' ? 'ended' : attribute(attributes, 'SameSite=')}`, `${kind} ${seconds}`]
}

/** Whether a parameter is as expected: of this value, present (`true`), or absent (`null`). */
const isSent = (expected, sent) => (expected === true ? Boolean(sent) : sent === expected)

const pickEntries = (object, isWanted) => Object.fromEntries(Object.entries(object).filter(isWanted))

/** A summary of a response without random values, with the details that the vector compares. */
async function summarize(response, name, provider, then) {
  const summary = { status: response.status }
  const location = response.headers.get('location')
  if (location?.startsWith(provider)) summary.location = `provider ${new URL(location).pathname}`
  else if (location) summary.location = location.startsWith(SHOP) ? location.slice(SHOP.length) : location
  const body = await response.text()
  if (response.headers.get('content-type') === 'application/problem+json') summary.code = JSON.parse(body).code
  const cookies = response.headers.getSetCookie().map((field) => describeCookie(field, name))
  if (cookies.length > 0) summary.cookies = cookies.map(([cookieName]) => cookieName).sort()
  if (then.lives) summary.lives = cookies.map(([, lives]) => lives).sort()
  if (then.shows && body.includes(then.shows)) summary.shows = then.shows
  if (then.fields) {
    const fields = Object.keys(then.fields).map((field) => [field, response.headers.get(field)?.replaceAll(provider, 'provider')])
    summary.fields = Object.fromEntries(fields)
  }
  if (then.json) summary.json = pickEntries(JSON.parse(body), ([member]) => member !== 'until')
  if (then.sends) {
    const sent = new URL(location).searchParams
    summary.sends = pickEntries(then.sends, ([parameter, expected]) => isSent(expected, sent.get(parameter)))
  }
  return summary
}

/** Replaces the placeholders in a string by the targets of earlier steps. */
const fillPlaceholders = (text, placeholders) => Object.entries(placeholders).reduce((text, [name, value]) => text.replaceAll(name, () => value), text)

/** A cookie jar, which sends cookies according to their SameSite attribute. */
class Jar {
  #cookies

  constructor(cookies = []) {
    this.#cookies = new Map(cookies)
  }

  copy() {
    return new Jar(this.#cookies)
  }

  kinds(name) {
    return [...this.#cookies.keys()].map((cookie) => cookieKind(cookie, name)).sort()
  }

  drop(name) {
    this.#cookies.delete(name)
  }

  rename(from, to, before = '') {
    const matches = (name) => (from.endsWith('-') ? name.startsWith(from) : name === from)
    const [name, { value, sameSite }] = [...this.#cookies].find(([name]) => matches(name))
    this.#cookies.delete(name)
    this.#cookies.set(to, { value: before + value, sameSite })
  }

  request(step, verb, placeholders) {
    const from = step.from ?? (verb === 'fetch' ? 'own' : 'typed')
    const isPage = verb === 'get' || verb === 'submit'
    const isSafe = verb === 'get' || (verb === 'fetch' && !step.method)
    const sent = [...this.#cookies].filter(([, { sameSite }]) => {
      return from !== 'elsewhere' || sameSite === 'None' || (sameSite === 'Lax' && verb === 'get')
    })
    const cookies = [...(step.also ? [step.also] : []), ...sent.map(([name, { value }]) => `${name}=${value}`)]
    const headers = {
      'sec-fetch-site': SITES[from], 'sec-fetch-mode': isPage ? 'navigate' : 'cors', 'sec-fetch-dest': isPage ? 'document' : 'empty',
      accept: isPage ? 'text/html,*/*' : 'application/json',
      ...(!isSafe && { origin: ORIGINS[from] ?? SHOP }),
      ...(step.purpose && { 'sec-purpose': step.purpose }),
      ...(cookies.length > 0 && { cookie: cookies.join('; ') }),
      ...(step.form && { 'content-type': FORM }),
      ...step.headers,
    }
    return {
      method: step.method ?? (verb === 'post' || verb === 'submit' ? 'POST' : 'GET'),
      url: (step.host ? `https://${step.host}` : SHOP) + fillPlaceholders(step[verb], placeholders),
      headers: pickEntries(headers, ([, value]) => value !== null),
      ...(step.form && { body: fillPlaceholders(step.form, placeholders) }),
    }
  }

  storeCookies(response) {
    for (const field of response.headers.getSetCookie()) {
      const [pair, ...attributes] = field.split('; ')
      const at = pair.indexOf('=')
      this.#cookies.delete(pair.slice(0, at))
      if (attributes.includes('Max-Age=0')) continue
      this.#cookies.set(pair.slice(0, at), { value: pair.slice(at + 1), sameSite: attribute(attributes, 'SameSite=') })
    }
  }
}

/** The target to which the provider redirects the user, or the form that it has the browser post. */
async function signInAtProvider(url) {
  const { url: there, text } = await new Person().open(url, { until: ({ origin }) => origin === SHOP })
  if (text === undefined) return there.href.slice(SHOP.length)
  return String(new URLSearchParams([...text.matchAll(/name="([^"]*)" value="([^"]*)"/g)].map(([, name, value]) => [name, value])))
}

/** The request that an API received, without the headers that only the site uses. It only responds to the user's token. */
async function receivedRequest(twin) {
  const { path, query, headers } = (await twin.log()).at(-1)
  assert.equal(Object.fromEntries(headers).cookie, undefined)
  return path + (query.length > 0 ? `?${new URLSearchParams(query)}` : '')
}

/** Redirect URIs that a site has. */
export const callbackPaths = ({ site, providers = [] }) =>
  ['', ...providers.map(({ id }) => `/${id}`)].map((end) => `${SHOP}${site?.prefix ?? '/auth'}/callback${end}`)

/**
 * Plays one sign-in. `sendVisit(request, options)` resolves to a response, which has the header `x-user` with the
 * user's subject (or nothing) if it is the application's.
 */
export async function play({ site = {}, steps }, twin, sendVisit) {
  const name = site.name ?? 'oauth-session'
  const jars = {}
  const placeholders = { '{issuer}': encodeURIComponent(twin.base) }
  let last
  const setPlaceholder = (place, target) => {
    placeholders[`{${place}}`] = target
    placeholders[`{${place}?}`] = `?${target.split('?')[1] ?? ''}`
  }
  for (const step of steps) {
    const jar = (jars[step.as ?? 'ann'] ??= new Jar())
    if (step.provider) setPlaceholder(step.provider, await signInAtProvider(last))
    else if (step.copy) jars[step.copy] = jars.ann.copy()
    else if (step.claim) await twin.claim(step.claim, step.length ? step.value.repeat(step.length) : step.value)
    else if (step.deny) await twin.deny()
    else if (step.logout_token) setPlaceholder(step.logout_token, await twin.logoutToken(step.flaw))
    else if (step.drop) jar.drop(step.drop)
    else if (step.rename) jar.rename(step.rename, step.to, step.before)
    else if (step.jar) assert.deepEqual(jar.kinds(name), step.jar, JSON.stringify(step))
    else {
      const verb = ['get', 'post', 'fetch', 'submit'].find((verb) => step[verb])
      const response = await sendVisit(jar.request(step, verb, placeholders), { access: step.access ?? 'signed_in', need: step.need })
      const user = response.headers.get('x-user')
      if (user) assert.equal(user, subject)
      jar.storeCookies(response)
      last = response.headers.get('location') ?? last
      let summary
      if (user !== null) summary = { user: user !== '' }
      else if (step.then.forwarded && response.status === 200) summary = { forwarded: await receivedRequest(twin) }
      else summary = await summarize(response, name, twin.base, step.then)
      assert.deepEqual(summary, step.then, JSON.stringify(step))
    }
  }
}
