// What the test files share: one world each, a fresh browser context for each test.

import { after, before, beforeEach, afterEach } from 'node:test'
import { browser, control, oidcProvider, pages, twins } from './world.js'

/** Starts the world before the tests of a file and ends it after them. */
export function startWorld({ oidc = false, script } = {}) {
  // Pages of a test's own, by path.
  const harness = { made: {} }
  before(async () => {
    harness.pages = await pages('test/page.html', harness.made)
    harness.origin = harness.pages.origin
    harness.twins = await twins(harness.origin)
    harness.generic = control(harness.twins.generic)
    harness.uservoice = control(harness.twins.uservoice)
    if (oidc) harness.oidc = await oidcProvider(harness.origin, script)
    harness.browser = await browser()
    harness.configs = configs(harness)
  })
  after(async () => {
    await harness.browser?.close()
    harness.oidc?.close()
    harness.twins?.close()
    harness.pages?.close()
  })
  beforeEach(async () => {
    harness.context = await harness.browser.newContext()
    harness.context.setDefaultTimeout(20_000)
  })
  afterEach(() => harness.context.close())
  harness.page = (path = '/') => openPage(harness, path)
  return harness
}

function configs(harness) {
  const redirectUri = `${harness.origin}/callback`
  const generic = {
    issuer: harness.twins.generic,
    loopback: true,
    clientId: 'twin-public',
    redirectUri,
    api: [harness.twins.generic],
  }
  const uservoice = {
    provider: 'uservoice',
    variables: { subdomain: 'acme' },
    loopback: harness.twins.uservoice,
    clientId: 'uv-public-key',
    redirectUri,
  }
  const oidc = harness.oidc && {
    issuer: harness.oidc.issuer,
    loopback: true,
    clientId: (harness.oidc.clients.native ?? harness.oidc.clients.page).client_id,
    redirectUri,
    api: [harness.oidc.issuer],
  }
  return { generic, uservoice, oidc }
}

async function openPage(harness, path) {
  const page = await harness.context.newPage()
  page.on('pageerror', (error) => console.error('page:', error))
  await page.goto(harness.origin + path)
  await loaded(page)
  return page
}

/** Waits until the page offers the package. */
export const loaded = (page) => page.waitForFunction(() => globalThis.loaded === true)

/** Signs in by redirect, and leaves the page on the callback, not yet handled. */
export async function toCallback(harness, page, config, options = {}) {
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
export async function signedIn(harness, config, options) {
  const page = await harness.page()
  await toCallback(harness, page, config, options)
  const result = await handle(page, config)
  if (result.value !== true) throw new Error(JSON.stringify(result))
  return page
}
