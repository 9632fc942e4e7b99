// Plays whole sign-ins: `tests/vectors/web/sign_ins.json`. A site is whatever answers requests.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { root } from './helper.mjs'
import { Browser as Person } from './web-checks.mjs'

export const SHOP = 'https://shop.example'
export const { sign_ins: signIns, subject } = JSON.parse(readFileSync(path.join(root, 'tests/vectors/web/sign_ins.json'), 'utf8'))

const SITES = { elsewhere: 'cross-site', own: 'same-origin', typed: 'none' }
const attribute = (attributes, name) => attributes.find((one) => one.startsWith(name))?.slice(name.length)

/** A cookie by its kind, and what becomes of it. */
function shape(field, name) {
  const [pair, ...attributes] = field.split('; ')
  for (const wanted of ['Secure', 'HttpOnly', 'Path=/']) assert.ok(attributes.includes(wanted), field)
  assert.equal(attribute(attributes, 'Domain'), undefined)
  const [whole] = pair.split('=', 1)
  assert.ok(whole.startsWith(`__Host-Http-${name}`), field)
  const kind = whole.slice(`__Host-Http-${name}`.length).split('-')[1] ?? 'session'
  return `${kind} ${attributes.includes('Max-Age=0') ? 'ended' : attribute(attributes, 'SameSite=')}`
}

/** What a response is, without what chance has made. */
async function told(response, name, provider) {
  const said = { status: response.status }
  const location = response.headers.get('location')
  if (location?.startsWith(provider)) said.location = `provider ${new URL(location).pathname}`
  else if (location) said.location = location.startsWith(SHOP) ? location.slice(SHOP.length) : location
  if (response.headers.get('content-type') === 'application/problem+json') said.code = (await response.json()).code
  const cookies = response.headers.getSetCookie().map((field) => shape(field, name)).sort()
  return cookies.length > 0 ? { ...said, cookies } : said
}

/** Cookies, kept and sent by what SameSite says. */
class Jar {
  #cookies

  constructor(cookies = []) {
    this.#cookies = new Map(cookies)
  }

  copy() {
    return new Jar(this.#cookies)
  }

  request(step, verb, target) {
    const from = step.from ?? (verb === 'fetch' ? 'own' : 'typed')
    const isPage = verb === 'get'
    const sent = [...this.#cookies].filter(([, { sameSite }]) => {
      return from !== 'elsewhere' || sameSite === 'None' || (sameSite === 'Lax' && verb !== 'post')
    })
    const headers = {
      'sec-fetch-site': SITES[from], 'sec-fetch-mode': isPage ? 'navigate' : 'cors', 'sec-fetch-dest': isPage ? 'document' : 'empty',
      accept: isPage ? 'text/html,*/*' : 'application/json',
      ...(verb === 'post' && { origin: from === 'elsewhere' ? 'https://elsewhere.example' : SHOP }),
      ...(step.purpose && { 'sec-purpose': step.purpose }),
      ...(sent.length > 0 && { cookie: sent.map(([name, { value }]) => `${name}=${value}`).join('; ') }),
    }
    return { method: verb === 'post' ? 'POST' : 'GET', url: SHOP + target, headers }
  }

  keep(response) {
    for (const field of response.headers.getSetCookie()) {
      const [pair, ...attributes] = field.split('; ')
      const at = pair.indexOf('=')
      this.#cookies.delete(pair.slice(0, at))
      if (attributes.includes('Max-Age=0')) continue
      this.#cookies.set(pair.slice(0, at), { value: pair.slice(at + 1), sameSite: attribute(attributes, 'SameSite=') })
    }
  }
}

/**
 * Plays one. `ask(request, access)` resolves to a response, which has the header `x-user` with the person's subject (or
 * nothing) if it is the application's.
 */
export async function play({ site = {}, steps }, provider, ask) {
  const jars = { ann: new Jar() }
  const places = {}
  let last
  for (const step of steps) {
    if (step.provider) {
      const { url } = await new Person().open(last, { until: ({ origin }) => origin === SHOP })
      places[`{${step.provider}}`] = url.href.slice(SHOP.length)
      continue
    }
    if (step.copy) {
      jars[step.copy] = jars.ann.copy()
      continue
    }
    const verb = ['get', 'post', 'fetch'].find((verb) => step[verb])
    const jar = (jars[step.as ?? 'ann'] ??= new Jar())
    const response = await ask(jar.request(step, verb, places[step[verb]] ?? step[verb]), step.access ?? 'signed_in')
    const user = response.headers.get('x-user')
    if (user) assert.equal(user, subject)
    jar.keep(response)
    last = response.headers.get('location') ?? last
    const said = user === null ? await told(response, site.name ?? 'oauth-session', provider) : { user: user !== '' }
    assert.deepEqual(said, step.then, JSON.stringify(step))
  }
}

/** The settings in JavaScript's names. */
export const inJavaScript = (settings = {}) =>
  Object.fromEntries(Object.entries(settings).map(([name, value]) => [name.replaceAll(/_(.)/g, (_, letter) => letter.toUpperCase()), value]))
