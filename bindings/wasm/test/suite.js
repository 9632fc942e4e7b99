// What the test files share: one world each, a fresh browser context for each test.

import { after, before, beforeEach, afterEach } from 'node:test'
import { browser, control, oidcProvider, pages, twins } from './world.js'

/** Starts the world before the tests of a file and ends it after them. */
export function world({ oidc = false, script } = {}) {
  // Pages of a test's own, by path.
  const us = { made: {} }
  before(async () => {
    us.pages = await pages('test/page.html', us.made)
    us.origin = us.pages.origin
    us.twins = await twins(us.origin)
    us.generic = control(us.twins.generic)
    us.uservoice = control(us.twins.uservoice)
    if (oidc) us.oidc = await oidcProvider(us.origin, script)
    us.browser = await browser()
    us.configs = configs(us)
  })
  after(async () => {
    await us.browser?.close()
    us.oidc?.close()
    us.twins?.close()
    us.pages?.close()
  })
  beforeEach(async () => {
    us.context = await us.browser.newContext()
    us.context.setDefaultTimeout(20_000)
  })
  afterEach(() => us.context.close())
  us.page = (path = '/') => openPage(us, path)
  return us
}

function configs(us) {
  const redirectUri = `${us.origin}/callback`
  const generic = {
    issuer: us.twins.generic,
    loopback: true,
    clientId: 'twin-public',
    redirectUri,
    api: [us.twins.generic],
  }
  const uservoice = {
    provider: 'uservoice',
    variables: { subdomain: 'acme' },
    loopback: us.twins.uservoice,
    clientId: 'uv-public-key',
    redirectUri,
  }
  const oidc = us.oidc && {
    issuer: us.oidc.issuer,
    loopback: true,
    clientId: (us.oidc.clients.native ?? us.oidc.clients.page).client_id,
    redirectUri,
    api: [us.oidc.issuer],
  }
  return { generic, uservoice, oidc }
}

async function openPage(us, path) {
  const page = await us.context.newPage()
  page.on('pageerror', (error) => console.error('page:', error))
  await page.goto(us.origin + path)
  await loaded(page)
  return page
}

/** Waits until the page offers the package. */
export const loaded = (page) => page.waitForFunction(() => globalThis.loaded === true)

/** Signs in by redirect, and leaves the page on the callback, not yet handled. */
export async function toCallback(us, page, config, options = {}) {
  await page.evaluate(([config, options]) => void web.signIn(config, options), [config, options])
  await page.waitForURL((url) => url.pathname === '/callback')
  await loaded(page)
}

/** Handles the callback; the session is `session` in the page. */
export const handle = (page, config) =>
  page.evaluate(
    (config) => told(web.handleCallback(config).then((session) => ((globalThis.session = session), !!session))),
    config,
  )

/** Signs in by redirect, all the way. */
export async function signedIn(us, config, options) {
  const page = await us.page()
  await toCallback(us, page, config, options)
  const result = await handle(page, config)
  if (result.value !== true) throw new Error(JSON.stringify(result))
  return page
}
