// Session Management: the server's session, monitored by a frame, with the vectors and with a server page.

import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { after, before, test } from 'node:test'
import { browser, pages } from './world.js'

/** What a server's frame does: it compares the session state with its cookie (Session Management section 3.2). */
const FRAME = `<!doctype html><script>
addEventListener('message', async ({ source, origin, data }) => {
  const [client, state, more] = String(data).split(' ')
  const salt = state?.split('.')[1]
  if (!client || !salt || more !== undefined) return source.postMessage('error', origin)
  const session = document.cookie.match(/session=(\\w+)/)?.[1] ?? ''
  const text = new TextEncoder().encode([client, origin, session, salt].join(' '))
  const hash = [...new Uint8Array(await crypto.subtle.digest('SHA-256', text))].map((byte) => byte.toString(16).padStart(2, '0')).join('')
  source.postMessage(hash + '.' + salt === state ? 'unchanged' : 'changed', origin)
})
</script>`
const { vectors } = JSON.parse(await readFile(new URL('../../../tests/vectors/vectors.json', import.meta.url), 'utf8'))
const cases = vectors.filter(({ id }) => id.startsWith('sm-'))

let chromium, context, site, server
before(async () => {
  const html = () => '<!doctype html><meta charset="utf-8"><title>page</title><body>'
  site = await pages(undefined, { '/app': html })
  server = await pages(undefined, { '/check': () => FRAME, '/silent': html, '/home': html })
  chromium = await browser()
  context = await chromium.newContext()
})
after(async () => {
  await chromium?.close()
  site?.close()
  server?.close()
})

async function page() {
  const page = await context.newPage()
  await page.goto(`${site.origin}/app`)
  await page.evaluate(async () => {
    const { monitorSession } = await import('/js/session-management.js')
    globalThis.told = []
    globalThis.monitor = (options) => monitorSession({ clientId: 'client1', onChange: () => told.push('changed'), onError: () => told.push('error'), ...options })
  })
  return page
}

/** What is posted to the frame, where to, and what came of a message to the page. */
const probe = (page, options, message) =>
  page.evaluate(
    async ({ options, message }) => {
      const posted = []
      const frame = document.createElement('iframe')
      const made = document.createElement.bind(document)
      document.createElement = (name) => (name === 'iframe' ? frame : made(name))
      const monitor = globalThis.monitor(options)
      document.createElement = made
      if (!monitor) return { monitoring: false }
      await new Promise((done) => frame.addEventListener('load', done, { once: true }))
      const { contentWindow } = frame
      Object.defineProperty(frame, 'contentWindow', { configurable: true, value: { postMessage: (...all) => posted.push(all) } })
      frame.dispatchEvent(new Event('load'))
      delete frame.contentWindow
      if (message) {
        const source = message.source === 'op frame' ? contentWindow : window
        // The vectors name the server by a host that nobody answers for.
        const origin = message.origin === 'https://op.example' ? new URL(options.checkSessionIframe).origin : message.origin
        for (const _ of [1, 2]) dispatchEvent(new MessageEvent('message', { origin, source, data: message.data }))
      }
      const isWatching = frame.isConnected
      monitor.stop()
      return { monitoring: true, posted, told: told.splice(0), isWatching, left: document.querySelectorAll('iframe').length }
    },
    { options, message },
  )

test('all session management vectors are tested', () => assert.equal(cases.length, 7))

for (const { id, input, expected } of cases) {
  test(`session management: ${id}`, async () => {
    const tab = await page()
    const options = { checkSessionIframe: `${server.origin}/silent`, sessionState: 'session_state' in input ? input.session_state : 'abc.def' }
    const seen = await probe(tab, options, input.message_event)
    if (expected.monitoring === false) return assert.deepEqual(seen, { monitoring: false })
    assert.equal(seen.left, 0)
    if (expected.message) {
      const target = expected.target_origin === 'https://op.example' ? server.origin : expected.target_origin
      assert.deepEqual(seen.posted[0], [expected.message, target])
      return
    }
    const expectedEvents = { none: [], stop: ['error'], 'authorize with prompt=none and id_token_hint': ['changed'] }[expected.action]
    assert.deepEqual(seen.told, expectedEvents)
    assert.equal(seen.isWatching, expected.action === 'none')
  })
}

test('a change of the server’s session is reported once', async () => {
  const session = (value) => context.addCookies([{ name: 'session', value, url: server.origin }])
  await session('one')
  const tab = await page()
  const state = async (salt) => {
    const text = new TextEncoder().encode(['client1', site.origin, 'one', salt].join(' '))
    return `${Buffer.from(await crypto.subtle.digest('SHA-256', text)).toString('hex')}.${salt}`
  }
  const options = { checkSessionIframe: `${server.origin}/check`, sessionState: await state('salt'), intervalMs: 50 }
  await tab.evaluate((options) => {
    globalThis.answers = 0
    addEventListener('message', () => (answers += 1))
    globalThis.watch = monitor(options)
  }, options)
  await tab.waitForFunction(() => answers > 3)
  assert.deepEqual(await tab.evaluate(() => told), [])
  await session('two')
  await tab.waitForFunction(() => told.length > 0)
  const before = await tab.evaluate(() => answers)
  await new Promise((done) => setTimeout(done, 300))
  assert.deepEqual(await tab.evaluate(() => [told, answers, document.querySelectorAll('iframe').length]), [['changed'], before, 0])
})

test('an invalid session state is not monitored, and a frame is used only over TLS', async () => {
  const tab = await page()
  for (const sessionState of [undefined, null, '', 'a b.c']) {
    assert.deepEqual(await probe(tab, { checkSessionIframe: `${server.origin}/silent`, sessionState }), { monitoring: false })
  }
  for (const checkSessionIframe of ['http://op.example/check', 'javascript:alert(1)', 'data:text/html,x', '/check']) {
    const name = await tab.evaluate((options) => {
      try {
        monitor(options)
      } catch (error) {
        return error.name
      }
    }, { checkSessionIframe, sessionState: 'a.b' })
    assert.equal(name, 'TypeError', checkSessionIframe)
  }
  assert.equal(await tab.evaluate(() => document.querySelectorAll('iframe').length), 0)
})
