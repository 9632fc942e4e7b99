// The login of native apps: the redirect URI, and a pasted callback URL.
import assert from 'node:assert/strict'
import { createServer } from 'node:net'
import { test } from 'node:test'
import { core, twins } from './helper.mjs'

const { Client, discover, login } = core
const { generic: twin } = await twins()
const { publicClientId: clientId } = await twin.client()
const server = await discover(twin.base, { transport: 'loopback_http' })
const client = new Client(server, { clientId, clientAuth: 'none' })

/** A headless browser. */
const browse = (url) => { fetch(url).then((reply) => reply.text()) }
/** The callback URL that a browser shows if it cannot reach this machine. */
const callbackOf = async (url) => (await fetch(url, { redirect: 'manual' })).headers.get('location')

async function freePort() {
  const socket = createServer()
  await new Promise((done) => socket.listen(0, '127.0.0.1', done))
  const { port } = socket.address()
  await new Promise((done) => socket.close(done))
  return port
}

test('a login listens at the configured port, path or redirect URI', async () => {
  const port = await freePort()
  const redirectUri = `http://127.0.0.1:${port}/my/app`
  for (const route of ['/my/app', '/signed-in']) await twin.register(`http://127.0.0.1${route}`)
  const expected = [
    [{ port }, (uri) => uri === `http://127.0.0.1:${port}/callback`],
    [{ path: '/signed-in' }, (uri) => uri.endsWith('/signed-in')],
    [{ redirectUri }, (uri) => uri === redirectUri],
  ]
  for (const [options, isExpected] of expected) {
    let promptedUrl
    const open = (url) => {
      promptedUrl = url.searchParams.get('redirect_uri')
      browse(url)
    }
    assert.ok((await login(client, { scope: 'read', open, timeoutMs: 30_000, ...options })).accessToken)
    assert.ok(isExpected(promptedUrl), promptedUrl)
  }
  await assert.rejects(login(client, { redirectUri, port }), TypeError)
  for (const refusedUri of ['https://127.0.0.1/cb', 'http://app.example/cb']) {
    await assert.rejects(login(client, { redirectUri: refusedUri }), { code: 'redirect_uri.refused' })
  }
})

test('the opener may wait for the final page of the login', async () => {
  const open = async (url) => { await (await fetch(url)).text() }
  assert.ok((await login(client, { scope: 'read', open, timeoutMs: 10_000 })).accessToken)
  const failure = new Error('no window')
  await assert.rejects(login(client, { scope: 'read', open: async () => { throw failure } }), failure)
})

test('the user pastes the callback URL after an invalid one', async () => {
  const forms = [(address) => address, (address) => address.replace('http://', ''), (address) => address.split('?')[1]]
  for (const form of forms) {
    let address
    const texts = ['', 'http://127.0.0.1/callback?state=of-another-login&code=x']
    const open = async (url) => { address = await callbackOf(url) }
    const paste = async () => texts.shift() ?? form(address)
    assert.ok((await login(client, { scope: 'read', open, paste, timeoutMs: 30_000 })).accessToken)
    assert.deepEqual(texts, [], 'after an invalid text, the prompt is repeated')
  }
})

test('a timeout limits a device login', async () => {
  const { clientId: id, clientSecret } = await twin.client()
  const deviceClient = new Client(server, { clientId: id, clientSecret })
  const start = performance.now()
  await assert.rejects(login(deviceClient, { scope: 'read', device: true, show: () => {}, timeoutMs: 500 }), { code: 'lost.timeout' })
  assert.ok(performance.now() - start < 10_000)
})

test('the paste prompt is aborted when the callback arrives', async () => {
  let isPromptAborted = false
  const paste = (signal) => new Promise((_, fail) => {
    signal.addEventListener('abort', () => {
      isPromptAborted = true
      fail(signal.reason)
    })
  })
  assert.ok((await login(client, { scope: 'read', open: browse, paste, timeoutMs: 30_000 })).accessToken)
  assert.ok(isPromptAborted)
  assert.ok((await login(client, { scope: 'read', open: browse, paste: async () => undefined, timeoutMs: 30_000 })).accessToken)
  const broken = async () => { throw new Error('no terminal') }
  await assert.rejects(login(client, { open: () => {}, paste: broken, timeoutMs: 30_000 }), { message: 'no terminal' })
})
