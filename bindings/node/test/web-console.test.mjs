// Without a `log` function, errors for the operator are on the console; errors that any visitor can cause are not.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { core, twins } from './helper.mjs'
import { Browser } from './web-checks.mjs'

const { Site } = await import('oauth-core/web')
const { generic: twin } = await twins()
const transport = 'loopback_http'
const key = Buffer.alloc(32, 7)
const baseUrl = 'https://shop.example'
await twin.register(`${baseUrl}/auth/callback`)
const server = await core.discover(twin.base, { transport })
const { clientId, clientSecret } = await twin.client()
const client = new core.Client(server, { clientId, clientSecret })
const page = (path, headers) => new Request(`${baseUrl}${path}`, { headers: { accept: 'text/html', ...headers } })
const pair = (field) => field.split(';', 1)[0]

/** The console output of a call. */
async function consoleOutput(call) {
  const lines = []
  const { error } = console
  console.error = (...words) => lines.push(words.join(' '))
  try {
    await call()
  } finally {
    console.error = error
  }
  return lines
}

/** A sign-in to a site that no socket serves. */
async function signIn(site) {
  const begun = await site.page(page('/auth/login'))
  const flow = begun.headers.getSetCookie().map(pair).join('; ')
  const { url } = await new Browser().open(begun.headers.get('location'), { until: ({ origin }) => origin === baseUrl })
  return site.page(page(url.href.slice(baseUrl.length), { cookie: flow }))
}

test('a sign-in that fails because of the configuration logs one line to the console', async () => {
  const wrong = new core.Client(server, { clientId, clientSecret: 'not-the-secret' })
  const at = (options) => new Site({ baseUrl, key, client: wrong, transport, ...options })
  const lines = await consoleOutput(async () => assert.ok((await signIn(at())).status >= 400))
  assert.equal(lines.length, 1, lines.join('\n'))
  assert.match(lines[0], /^oauth-core: token: POST http.*\[denied\.invalid_client\]; check the client id/)
  assert.ok(!lines[0].includes('not-the-secret') && !lines[0].includes('\n'))
  // With a `log` function nothing is written to the console.
  const notes = []
  assert.deepEqual(await consoleOutput(() => signIn(at({ log: (note) => notes.push(note.code) }))), [])
  assert.deepEqual(notes, ['denied.invalid_client'])
})

test('an unreachable provider logs one line to the console', async () => {
  const site = new Site({ baseUrl, key, client: () => core.discover('http://127.0.0.1:9', { transport }), transport })
  const lines = await consoleOutput(async () => assert.equal((await site.page(page('/auth/login'))).status, 503))
  assert.equal(lines.length, 1)
  assert.match(lines[0], /^oauth-core: .*127\.0\.0\.1:9.*\[lost\./)
})

test('processes without a common store are distinguished from expired sessions, once', async () => {
  const at = () => new Site({ baseUrl, key, client, transport, scope: 'openid read offline_access', store: new core.MemoryStore() })
  const cookie = (await signIn(at())).headers.getSetCookie().filter((field) => !/max-age=0/i.test(field)).map(pair).join('; ')
  const other = at()
  const lines = await consoleOutput(async () => {
    for (const path of ['/', '/me']) await other.handle(page(path, { cookie }))
  })
  assert.equal(lines.length, 1, lines.join('\n'))
  assert.match(lines[0], /^oauth-core: .*\[web\.session_unknown\].* same store$/)
})

test('errors that any visitor can cause do not fill the console', async () => {
  const site = new Site({ baseUrl, key, client, transport })
  const lines = await consoleOutput(async () => {
    for (const path of ['/auth/callback?code=c&state=s', '/auth/nothing', '/auth/callback?error=login_required']) {
      assert.ok((await site.page(page(path))).status < 500, path)
    }
    assert.equal((await site.handle(page('/me', { cookie: '__Host-oauth-session=x' }), { access: 'signed_in' })).status, 303)
  })
  assert.deepEqual(lines, [])
})
