// The hooks for pages whose server signs users in; they need neither the module nor a browser.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, beforeEach, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { brotliCompressSync } from 'node:zlib'
import { createElement } from 'react'
import { act, create } from 'react-test-renderer'
import { effectScope } from 'vue'
import { useSession } from '../js/react.js'
import { ServerSession } from '../js/server-session.js'
import { useSession as useVueSession } from '../js/vue.js'

const HOME = 'https://shop.example'
const until = Math.floor(Date.now() / 1000) + 3600
const pages = { login: '/auth/login', logout: '/auth/logout' }
const ANN = { signed_in: true, user: { sub: 'ann', name: 'Ann' }, provider: 'login', tenant: 'acme', until, ...pages }
const NOBODY = { signed_in: false, ...pages }

let tokenResponse
let tokenRequests
let visited
globalThis.IS_REACT_ACT_ENVIRONMENT = true
globalThis.window = globalThis
globalThis.location = { href: `${HOME}/cart?a=1`, origin: HOME, pathname: '/cart', search: '?a=1', assign: (url) => visited.push(url) }
globalThis.document = {
  createElement: () => ({ submit() { visited.push([this.method, this.action]) } }),
  body: { append() {} },
}
const real = { fetch: globalThis.fetch, Request: globalThis.Request }
const { setTimeout: later } = globalThis
// Requests of a page are relative to it.
globalThis.Request = class extends real.Request {
  constructor(input, init) {
    super(typeof input === 'string' ? new URL(input, HOME) : input, init)
  }
}
globalThis.fetch = async (input, init) => {
  const request = new Request(input, init)
  tokenRequests.push([new URL(request.url).pathname, request.headers.get('x-csrf-protection')])
  const { status = 200, body } = tokenResponse(new URL(request.url).pathname)
  return Response.json(body ?? {}, { status })
}
after(() => Object.assign(globalThis, real))
beforeEach(() => {
  tokenResponse = () => ({ body: ANN })
  tokenRequests = []
  visited = []
})

/** Waits until this holds: messages between tabs take a moment. */
async function waitUntil(check) {
  for (let tries = 0; !check(); tries += 1) {
    assert.ok(tries < 500, 'it never held')
    await new Promise((done) => later(done, 5))
  }
}

const seen = (session) => {
  const stop = session.subscribe(() => {})
  after(stop)
  return session
}

test('the session is requested once, and again after a 401', async () => {
  const session = seen(new ServerSession('/once'))
  assert.deepEqual([session.get().isLoading, session.get().user], [true, undefined])
  await Promise.all([session.refresh(), session.refresh()])
  assert.deepEqual(tokenRequests, [['/once/session', '1']])
  assert.deepEqual([session.get().isLoading, session.get().user.name, session.get().until.getTime()], [false, 'Ann', until * 1000])
  assert.deepEqual([session.get().provider, session.get().tenant], ['login', 'acme'])
  assert.equal((await session.fetch('/api/orders', { method: 'POST' })).status, 200)
  assert.deepEqual(tokenRequests.at(-1), ['/api/orders', '1'])
  tokenResponse = () => ({ status: 401 })
  assert.equal((await session.fetch('/api/orders')).status, 401)
  assert.equal(session.get().user, undefined)
})

test('tabs share changes of the session', async () => {
  const [one, other] = [seen(new ServerSession('/tabs')), seen(new ServerSession('/tabs'))]
  await waitUntil(() => one.get().user && other.get().user)
  tokenResponse = (path) => (path === '/tabs/session' ? { body: NOBODY } : { status: 401 })
  await one.fetch('/api/orders')
  await waitUntil(() => other.get().user === undefined && !other.get().isLoading)
  tokenResponse = () => ({ body: ANN })
  await other.refresh()
  await waitUntil(() => one.get().user?.sub === 'ann')
  const before = tokenRequests.length
  await new Promise((done) => setTimeout(done, 50))
  assert.equal(tokenRequests.length, before, 'they do not go on for ever')
})

test('a sign-out in one tab is shown in the others before the server confirms it', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const [one, other] = [seen(new ServerSession('/leave')), seen(new ServerSession('/leave'))]
  await waitUntil(() => one.get().user && other.get().user)
  one.signOut()
  await waitUntil(() => other.get().user === undefined)
  // If the sign-out did not reach the server, the user is shown again.
  const before = tokenRequests.length
  t.mock.timers.tick(5000)
  await waitUntil(() => other.get().user?.sub === 'ann')
  assert.equal(tokenRequests.length, before + 1)
  // The response to a request sent before the sign-out is ignored.
  const refreshed = other.refresh()
  one.signOut()
  await refreshed
  await waitUntil(() => other.get().user === undefined)
  tokenResponse = () => ({ body: NOBODY })
  t.mock.timers.tick(5000)
  await waitUntil(() => tokenRequests.length > before + 2)
  assert.equal(other.get().user, undefined)
})

test('a network failure does not sign the user out', async () => {
  const session = seen(new ServerSession('/away'))
  await session.refresh()
  tokenResponse = () => ({ status: 503 })
  await assert.rejects(session.refresh(), /503/)
  assert.equal(session.get().user.name, 'Ann')
  assert.match(session.get().error.message, /503/)
})

test('the user signs in and out', async () => {
  const session = seen(new ServerSession('/out'))
  await session.refresh()
  session.signIn({ provider: 'b' })
  session.signOut({ returnTo: '/bye' })
  assert.deepEqual(visited, [`${HOME}/auth/login?return_to=%2Fcart%3Fa%3D1&provider=b`, ['post', `${HOME}/auth/logout?return_to=%2Fbye`]])
  await assert.rejects(session.fetch('https://evil.example/'), TypeError)
})

test('React: a component is rendered again when the session ends', async () => {
  let last
  const Who = () => {
    last = useSession({ prefix: '/react' })
    return last.isLoading ? '…' : (last.user?.name ?? 'nobody')
  }
  let drawn
  await act(async () => {
    drawn = create(createElement('p', null, createElement(Who), createElement(Who)))
  })
  await act(() => waitUntil(() => tokenRequests.length > 0))
  assert.deepEqual(drawn.toJSON().children, ['Ann', 'Ann'])
  assert.equal(tokenRequests.length, 1, 'both share one session')
  tokenResponse = () => ({ status: 401 })
  await act(() => last.fetch('/api/orders'))
  assert.deepEqual(drawn.toJSON().children, ['nobody', 'nobody'])
  await act(async () => drawn.unmount())
})

test('Vue: refs are updated', async () => {
  const scope = effectScope()
  const session = scope.run(() => useVueSession({ prefix: '/vue' }))
  assert.equal(session.isLoading.value, true)
  await waitUntil(() => session.user.value?.name === 'Ann')
  tokenResponse = () => ({ status: 401 })
  await session.fetch('/api/orders')
  assert.equal(session.user.value, undefined)
  scope.stop()
})

test('each hook module is at most two kilobytes, compressed', () => {
  const read = (name) => readFileSync(fileURLToPath(new URL(`../js/${name}`, import.meta.url)))
  for (const name of ['react.js', 'vue.js']) {
    const size = brotliCompressSync(Buffer.concat([read(name), read('server-session.js')])).length
    assert.ok(size <= 2000, `${name}: ${size}`)
    // Whatever else a page without a server needs is loaded by the first call.
    assert.doesNotMatch(String(read(name)) + String(read('server-session.js')), /from '\.\/(?!server-session\.js')/)
  }
})
