// The hooks of a page without a server, which keeps the tokens itself: both frameworks in a browser.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { serve } from './examples.js'
import { startWorld } from './suite.js'

const harness = startWorld()
/** The user who approves every request at the test server. */
const ANN = 'user-248289761001'

/** What both pages do: they show what the hook says, and put it within reach of the tests. */
const SHARED = `
  import { signIn as begin, handleCallback } from 'oauth-core-web'
  globalThis.begin = begin
  globalThis.popped = 0
  addEventListener('popstate', () => (popped += 1))
  globalThis.told = (promise) => promise.then(() => 'done', ({ code, name }) => code ?? name)
  const text = ({ isLoading, user, session, error }) =>
    isLoading ? 'loading' : (user?.sub ?? (session ? 'in' : error ? error.code : 'nobody'))
  const config = JSON.parse(decodeURIComponent(CONFIG))`

const FRAMEWORKS = {
  React: `<div id="app"></div><script type="module">
  import { createElement as h, StrictMode } from 'react'
  import { createRoot } from 'react-dom/client'
  import { useSession } from 'oauth-core-web/react'
  ${SHARED}
  function Who() {
    const session = useSession({ config })
    globalThis.hook = session
    globalThis.shown = text(session)
    return h('p', { className: 'who' }, shown)
  }
  createRoot(document.querySelector('#app')).render(h(StrictMode, null, h(Who), h(Who)))
  </script>`,
  Vue: `<div id="app"></div><script type="module">
  import { computed, createApp } from 'vue'
  import { useSession } from 'oauth-core-web/vue'
  ${SHARED}
  const Who = {
    setup() {
      const session = useSession({ config })
      const { signIn, signOut, fetch, refresh, ...refs } = session
      const values = () => Object.fromEntries(Object.entries(refs).map(([name, { value }]) => [name, value]))
      globalThis.hook = new Proxy(session, { get: (_, name) => (name in refs ? refs[name].value : session[name]) })
      return { shown: computed(() => (globalThis.shown = text(values()))) }
    },
    template: '<p class="who">{{ shown }}</p>',
  }
  createApp({ components: { Who }, template: '<Who /><Who />' }).mount('#app')
  </script>`,
}

/** Serves the page everywhere in the application, for this client. */
function served(framework, more = {}) {
  const config = encodeURIComponent(JSON.stringify({ ...harness.configs.generic, ...more }))
  const page = FRAMEWORKS[framework].replace('CONFIG', JSON.stringify(config).replaceAll('$', '$$$$'))
  for (const path of ['/', '/callback', '/cart', '/bye']) serve(harness, path, page)
}

async function opened(path) {
  const page = await harness.context.newPage()
  page.on('pageerror', (error) => console.error('page:', error))
  await page.goto(harness.origin + path)
  return page
}

/** Waits until both components of the page show this. */
const waitForText = (page, text) =>
  page.waitForFunction((text) => [...document.querySelectorAll('.who')].map((one) => one.textContent).join() === `${text},${text}`, text)

async function signedIn(path = '/cart?a=1#b') {
  const page = await opened(path)
  await waitForText(page, 'nobody')
  await page.evaluate(() => void hook.signIn({ scope: 'openid read' }))
  await waitForText(page, ANN)
  return page
}

for (const framework of Object.keys(FRAMEWORKS)) {
  test(`${framework}: the user signs in at the server, returns to the page and calls the API`, async () => {
    served(framework)
    const page = await signedIn()
    const result = await page.evaluate(async (api) => {
      const reply = await hook.fetch(api)
      const { user, provider, tenant, until, error, session } = hook
      return {
        place: location.pathname + location.search + location.hash,
        popped,
        status: reply.status,
        isVerified: user.sub === session.claims.sub && user.iss === session.claims.iss,
        rest: [typeof provider, typeof tenant, typeof until, typeof error],
        kept: sessionStorage.length + localStorage.length,
      }
    }, `${harness.twins.generic}/api/echo`)
    const rest = ['undefined', 'undefined', 'undefined', 'undefined']
    assert.deepEqual(result, { place: '/cart?a=1#b', popped: 1, status: 200, isVerified: true, rest, kept: 0 })
  })

  test(`${framework}: other tabs follow the sign-in and the sign-out`, async () => {
    served(framework)
    const waiting = await harness.context.newPage()
    const fetched = []
    waiting.on('request', (request) => request.url().includes('/.well-known/') && fetched.push(request.url()))
    await waiting.goto(`${harness.origin}/`)
    await waitForText(waiting, 'nobody')
    const page = await signedIn()
    await waitForText(waiting, ANN)
    assert.equal(fetched.length, 1, 'that nobody is signed in, and then the wait for it, take the metadata once')
    assert.equal(await waiting.evaluate((api) => hook.fetch(api).then(({ status }) => status), `${harness.twins.generic}/api/echo`), 200)
    await page.evaluate(() => void hook.signOut({ returnTo: '/bye' }))
    await waitForText(waiting, 'nobody')
    await page.waitForURL(`${harness.origin}/bye`)
    await waitForText(page, 'nobody')
    const log = await harness.generic.log()
    assert.ok(JSON.stringify(log).includes('/logout'), 'the server, too, was left')
    // And to the next sign-in.
    await page.evaluate(() => void hook.signIn())
    await waitForText(page, ANN)
    await waitForText(waiting, ANN)
  })

  test(`${framework}: a reload keeps the session and the user in a storage`, async () => {
    served(framework, { storage: 'session' })
    const page = await signedIn()
    await page.reload()
    await waitForText(page, ANN)
  })

  test(`${framework}: a popup signs the user in without navigating the page`, async () => {
    served(framework)
    const page = await opened('/cart')
    await waitForText(page, 'nobody')
    await page.evaluate(() => {
      const button = document.body.appendChild(document.createElement('button'))
      button.onclick = () => void hook.signIn({ mode: 'popup', scope: 'openid profile' })
    })
    await page.locator('button').click()
    await waitForText(page, ANN)
    assert.deepEqual(await page.evaluate(() => [location.pathname, popped]), ['/cart', 0])
  })

  test(`${framework}: a denial is shown, and the user may try again`, async () => {
    served(framework)
    const page = await opened('/cart')
    await waitForText(page, 'nobody')
    await harness.generic.deny()
    await page.evaluate(() => void hook.signIn())
    await waitForText(page, 'denied.access_denied')
    await page.evaluate(() => void hook.signIn())
    await waitForText(page, ANN)
  })
}

test('actions that need a signed-in user are rejected without one', async () => {
  served('React')
  const page = await opened('/cart')
  await waitForText(page, 'nobody')
  const result = await page.evaluate(async (api) => {
    const refused = [told(hook.fetch(api)), told(hook.signOut({ returnTo: 'https://evil.example' }))]
    return Promise.all([...refused, told(hook.signIn({ returnTo: '//evil.example' }))])
  }, `${harness.twins.generic}/api/echo`)
  assert.deepEqual(result, ['grant.no_refresh_token', 'return_to.refused', 'return_to.refused'])
})

test('without OpenID Connect there is a session but no user', async () => {
  served('React')
  const page = await opened('/cart')
  await waitForText(page, 'nobody')
  await page.evaluate(() => void hook.signIn({ scope: 'read' }))
  await waitForText(page, 'in')
})
