// Authorization code with PKCE in a popup, including forged messages.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { handle, startWorld } from './suite.js'
import { pages } from './world.js'

const harness = startWorld()
let hostile

before(async () => {
  hostile = await pages('test/hostile.html')
})
after(() => hostile?.close())

/** Opens the popup as a click would, and lets the popup's page handle its callback. */
async function begin(page, config) {
  const opened = harness.context.waitForEvent('page')
  await page.evaluate((config) => {
    globalThis.heard = []
    addEventListener('message', ({ origin, data }) => heard.push([origin, data?.type]))
    globalThis.result = told(
      web.signIn(config, { mode: 'popup' }).then((session) => ((globalThis.session = session), true)),
    )
  }, config)
  return opened
}

/** Delays the server's response until the returned function is called. */
async function delayResponse(pattern) {
  let letGo
  const released = new Promise((done) => (letGo = done))
  await harness.context.route(pattern, async (route) => {
    await released
    await route.continue()
  })
  return letGo
}

const settle = (popup, config) =>
  popup
    .waitForURL((url) => url.pathname === '/callback')
    .then(() => popup.waitForFunction(() => globalThis.loaded === true))
    // The window may close before it reports the result.
    .then(() => handle(popup, config))
    .catch(() => {})

for (const name of ['generic', 'uservoice']) {
  test(`the ${name} twin signs a user in with a popup`, async () => {
    const config = harness.configs[name]
    const page = await harness.page()
    const popup = await begin(page, config)
    await settle(popup, config)
    assert.deepEqual(await page.evaluate(() => result), { value: true })
    assert.ok(popup.isClosed())
    const storageLengths = await page.evaluate(() => [sessionStorage.length, localStorage.length])
    assert.deepEqual(storageLengths, [0, 0])
    const url = name === 'generic' ? '/api/echo' : '/api/v2/end_users/me'
    const status = await page.evaluate(
      async (url) => (await session.fetch(url)).status,
      harness.twins[name] + url,
    )
    assert.equal(status, 200)
  })
}

test('messages from other origins and other windows are ignored', async () => {
  const config = harness.configs.generic
  const page = await harness.page()
  const authorize = harness.context.waitForEvent('request', (request) => request.url().includes('/authorize?'))
  const letGo = await delayResponse('**/authorize?*')
  const popup = await begin(page, config)
  const state = new URL((await authorize).url()).searchParams.get('state')
  // The best forgery possible: the right shape, even the right state.
  const forged = `${config.redirectUri}?code=stolen&state=${state}&iss=${encodeURIComponent(harness.twins.generic)}`
  await page.evaluate(
    ([origin, forged]) =>
      new Promise((done) => {
        // A frame of another origin, and this window itself.
        const frame = document.createElement('iframe')
        frame.src = `${origin}/#${encodeURIComponent(forged)}`
        document.body.append(frame)
        window.postMessage({ type: 'oauth-core:callback', url: forged }, location.origin)
        const look = setInterval(() => {
          if (heard.length < 2) return
          clearInterval(look)
          done()
        }, 20)
      }),
    [hostile.origin, forged],
  )
  const messages = await page.evaluate(() => globalThis.heard)
  assert.deepEqual(
    messages.map(([, type]) => type),
    ['oauth-core:callback', 'oauth-core:callback'],
    'both arrived',
  )
  assert.ok(messages.some(([origin]) => origin === hostile.origin))
  const before = await harness.generic.counters()
  letGo()
  await settle(popup, config)
  assert.deepEqual(await page.evaluate(() => result), { value: true })
  const after = await harness.generic.counters()
  assert.equal(after.token_requests - before.token_requests, 1, 'the stolen code was never sent')
})

test('a popup that has navigated elsewhere cannot send a callback for the redirect URI', async () => {
  const config = harness.configs.generic
  const page = await harness.page()
  const authorize = harness.context.waitForEvent('request', (request) => request.url().includes('/authorize?'))
  const letGo = await delayResponse('**/authorize?*')
  const popup = await begin(page, config)
  const state = new URL((await authorize).url()).searchParams.get('state')
  const forged = `${config.redirectUri}?code=stolen&state=${state}`
  // The popup itself, but of another origin.
  await popup.goto(`${hostile.origin}/#${encodeURIComponent(forged)}`)
  await page.waitForFunction(() => heard.length > 0)
  letGo()
  assert.equal(await page.evaluate(() => Promise.race([result, 'still waiting'])), 'still waiting')
  await popup.close()
  const end = await page.evaluate(() => result)
  assert.equal(end.name, 'LostError')
  assert.match(end.cause, /popup was closed/)
})

test('a popup page sends the code to no opener of another origin', async () => {
  const { redirectUri } = harness.configs.generic
  const page = await harness.context.newPage()
  await page.goto(hostile.origin)
  const opened = harness.context.waitForEvent('page')
  await page.evaluate((url) => {
    globalThis.heard = []
    addEventListener('message', ({ data }) => heard.push(data))
    window.open(url)
  }, `${redirectUri}?code=secret&state=of-somebody`)
  const popup = await opened
  await settle(popup, harness.configs.generic)
  await new Promise((done) => setTimeout(done, 300))
  assert.deepEqual(await page.evaluate(() => heard), [])
})

test('an abort closes the popup', async () => {
  const page = await harness.page()
  await delayResponse('**/authorize?*')
  const opened = harness.context.waitForEvent('page')
  await page.evaluate((config) => {
    globalThis.stop = new AbortController()
    globalThis.result = told(web.signIn(config, { mode: 'popup', signal: stop.signal }))
  }, harness.configs.generic)
  const popup = await opened
  const closed = popup.waitForEvent('close')
  await new Promise((done) => setTimeout(done, 200))
  await page.evaluate(() => stop.abort())
  await closed
  assert.equal((await page.evaluate(() => result)).name, 'AbortError')
})

test('a callback message that arrives after the popup has closed is accepted', async () => {
  const config = harness.configs.generic
  const page = await harness.page()
  // As in a browser that is busy: the message comes well after the window is seen to be closed.
  await page.evaluate(() => {
    const addListener = window.addEventListener
    window.addEventListener = (type, listener, ...rest) => {
      const late = (event) => setTimeout(() => listener(event), 600)
      addListener.call(window, type, type === 'message' ? late : listener, ...rest)
    }
  })
  const popup = await begin(page, config)
  await settle(popup, config)
  assert.deepEqual(await page.evaluate(() => result), { value: true })
})

/** Simulates the browser's handling of a server that severs its opener (COOP). */
async function severOpener() {
  await harness.context.route('**/authorize?*', async (route) => {
    const response = await route.fetch({ maxRedirects: 0 })
    const { location } = response.headers()
    const headers = { 'content-type': 'text/html', 'cross-origin-opener-policy': 'same-origin' }
    await route.fulfill({ status: 200, headers, body: `<a id="on" href="${location.replaceAll('&', '&amp;')}">on</a>` })
  })
}

/** The popup has the focus, as it would have on a screen. */
const focusPopup = (page) => page.evaluate(() => (document.hasFocus = () => false))

test('a popup severed from its opener (COOP) is awaited, and its callback arrives', async () => {
  const config = harness.configs.generic
  const page = await harness.page()
  await focusPopup(page)
  await severOpener()
  await page.evaluate(() => {
    const open = window.open
    window.open = (...args) => (globalThis.popup = open(...args))
  })
  const popup = await begin(page, config)
  await popup.waitForSelector('#on')
  // Longer than the wait after a popup has really closed.
  await page.waitForFunction(() => popup.closed)
  await new Promise((done) => setTimeout(done, 3000))
  assert.equal(await page.evaluate(() => Promise.race([result, 'still waiting'])), 'still waiting')
  const before = await harness.generic.counters()
  await popup.click('#on')
  await popup.waitForURL((url) => url.pathname === '/callback')
  await popup.waitForFunction(() => globalThis.loaded === true)
  assert.equal(await popup.evaluate(() => window.opener), null)
  const handed = await handle(popup, config).catch(() => ({ value: false }))
  assert.deepEqual(handed, { value: false })
  assert.deepEqual(await page.evaluate(() => result), { value: true })
  assert.equal((await harness.generic.counters()).token_requests - before.token_requests, 1)
})

test('focus on the page without a callback reports a severed popup as closed', async () => {
  const page = await harness.page()
  await focusPopup(page)
  await severOpener()
  const popup = await begin(page, harness.configs.generic)
  await popup.waitForSelector('#on')
  await popup.close()
  await page.evaluate(() => (document.hasFocus = () => true))
  const end = await page.evaluate(() => result)
  assert.equal(end.name, 'LostError')
  assert.match(end.cause, /popup was closed/)
})

test('a message on the channel with another state is ignored', async () => {
  const config = harness.configs.generic
  const page = await harness.page()
  await focusPopup(page)
  await severOpener()
  const popup = await begin(page, config)
  await popup.waitForSelector('#on')
  const stranger = await harness.page(`/callback?code=stolen&state=other`)
  assert.equal((await handle(stranger, config)).code, 'callback.state')
  assert.equal(await page.evaluate(() => Promise.race([result, 'still waiting'])), 'still waiting')
})

test('a blocked popup is reported', async () => {
  const page = await harness.page()
  await page.evaluate(() => (window.open = () => null))
  const result = await page.evaluate(
    (config) => told(web.signIn(config, { mode: 'popup' })),
    harness.configs.generic,
  )
  assert.equal(result.code, 'page.popup_blocked')
  assert.match(result.message, /blocked the popup/)
})

/** Lets a page open a window, and handles a callback there; what the opener heard, and what came. */
async function opened(opener, url, name, config) {
  const opening = harness.context.waitForEvent('page')
  await opener.evaluate(
    ([url, name]) => {
      globalThis.heard = []
      addEventListener('message', ({ data }) => heard.push(data))
      window.open(url, name)
    },
    [url, name],
  )
  const child = await opening
  await child.waitForFunction(() => globalThis.loaded === true)
  const result = await handle(child, config)
  await new Promise((done) => setTimeout(done, 300))
  assert.equal(child.isClosed(), false)
  assert.deepEqual(await opener.evaluate(() => heard), [])
  return { result, url: child.url() }
}

test('a window that the application opened is not treated as a popup', async () => {
  const page = await harness.page()
  const config = { ...harness.configs.generic, redirectUri: `${harness.origin}/` }
  const url = `${harness.origin}/orders/5?tab=2`
  assert.deepEqual(await opened(page, url, '_blank', config), { result: { value: false }, url })
  for (const name of ['_blank', 'orders']) {
    const { result } = await opened(page, `${harness.origin}/?code=a&state=b`, name, config)
    assert.equal(result.code, 'callback.state', 'a callback of nobody, and told as that')
  }
})

test('a page of another origin cannot make a popup page send its callback', async () => {
  const page = await harness.context.newPage()
  await page.goto(hostile.origin)
  const { redirectUri } = harness.configs.generic
  const url = `${redirectUri}?code=secret&state=of-somebody`
  const { result } = await opened(page, url, 'oauth-core:popup:made-up', harness.configs.generic)
  assert.equal(result.code, 'callback.state')
})

test('a popup is recognized after navigating over another site', async () => {
  const config = harness.configs.generic
  const page = await harness.page()
  const authorize = harness.context.waitForEvent('request', (request) => request.url().includes('/authorize?'))
  // The popup visits another site before the server.
  const detour = hostile.origin.replace('127.0.0.1', 'localhost')
  let isFirst = true
  await harness.context.route('**/authorize?*', async (route) => {
    if (!isFirst) return route.continue()
    isFirst = false
    await route.fulfill({ contentType: 'text/html', body: `<script>location.href = ${JSON.stringify(detour)}</script>` })
  })
  const popup = await begin(page, config)
  const url = (await authorize).url()
  await popup.waitForURL((url) => url.hostname === 'localhost')
  await popup.evaluate((url) => void (location.href = url), url)
  await settle(popup, config)
  assert.deepEqual(await page.evaluate(() => result), { value: true })
  assert.ok(popup.isClosed())
})
