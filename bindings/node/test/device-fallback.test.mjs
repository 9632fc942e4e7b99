// Without a browser, a login continues with a code on another device (RFC 8628).
import assert from 'node:assert/strict'
import { chmodSync, existsSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { beforeEach, test } from 'node:test'
import { core, rejection, twins } from './helper.mjs'

const { Client, discover, login } = core
const scope = 'read'
const { generic: twin } = await twins()
await twin.pollingInterval(1)
const unexpected = (what) => () => { throw new Error(`nobody wants ${what}`) }

async function createClient(more) {
  const { clientId, clientSecret, issuer } = await twin.client()
  const server = await discover(issuer, { transport: 'loopback_http' })
  return new Client(server, { clientId, clientSecret, ...more })
}

async function enterCode(code) {
  assert.equal((await fetch(code.verificationUriComplete)).status, 200)
}

async function browse(url) {
  assert.equal((await fetch(url)).status, 200)
}

/** Runs `act`, and returns what it writes to standard error. */
async function captureStderr(act) {
  const originalError = console.error
  let captured = ''
  console.error = (text) => { captured += `${text}\n` }
  try {
    await act()
  } finally {
    console.error = originalError
  }
  return captured
}

// The variables of this process decide; those of the machine are removed.
beforeEach(() => {
  for (const name of ['DISPLAY', 'WAYLAND_DISPLAY', 'SSH_CONNECTION', 'SSH_TTY', 'BROWSER']) delete process.env[name]
})

const environments = {
  'no display': {},
  'BROWSER=none': { DISPLAY: ':1', BROWSER: 'none' },
  'a display, and nothing that opens': { DISPLAY: ':1', PATH: '/nonexistent' },
}
for (const [place, environment] of Object.entries(environments)) {
  test(`a login falls back to a code on another device: ${place}`, { skip: process.platform !== 'linux' }, async () => {
    const { PATH } = process.env
    Object.assign(process.env, environment)
    const tokens = await login(await createClient(), { scope, show: enterCode, loginHint: 'alice' })
    process.env.PATH = PATH
    assert.deepEqual([...tokens.scope], [scope])
  })
}

test('the device prompt is printed to standard error', { skip: process.platform !== 'linux' }, async () => {
  const client = await createClient()
  const output = await captureStderr(async () => {
    const authorize = client.deviceAuthorization
    client.deviceAuthorization = async function (...args) {
      const code = await authorize.apply(this, args)
      assert.match(code.qrCode, /[█▀▄]/)
      await enterCode(code)
      return code
    }
    await login(client, { scope, purpose: 'sign in on a shelf' })
  })
  assert.match(output, /^To sign in on a shelf, open /)
})

test('a login stays in the browser if `device` is false', { skip: process.platform !== 'linux' }, async () => {
  const client = await createClient()
  const show = unexpected('a code')
  // An opener of the caller's own knows of a browser.
  assert.ok(await login(client, { scope, open: (url) => void browse(url), show }))
  for (const options of [{ device: false }, { extra: { prompt: 'login' } }, { prompt: 'login' }]) {
    const output = await captureStderr(async () => {
      const error = await rejection(login(client, { scope, show, timeoutMs: 200, ...options }))
      assert.equal(error.code, 'lost.no_callback')
    })
    assert.match(output, /\/authorize\?/)
  }
  // The server issues no codes to an unknown client.
  const otherClient = await createClient({ clientSecret: 'wrong' })
  const output = await captureStderr(async () => {
    assert.equal((await rejection(login(otherClient, { scope, show, timeoutMs: 200 }))).code, 'lost.no_callback')
  })
  assert.match(output, /\/authorize\?/)
  assert.equal((await rejection(login(otherClient, { scope, show, device: true }))).code, 'denied.invalid_client')
})

test('a login waits for the browser if one opens', { skip: process.platform !== 'linux' }, async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'opener-'))
  const opener = path.join(folder, 'xdg-open')
  writeFileSync(opener, '#!/bin/sh\nexit 0\n')
  chmodSync(opener, 0o755)
  const { PATH } = process.env
  Object.assign(process.env, { DISPLAY: ':1', PATH: `${folder}:${PATH}` })
  const client = await createClient()
  let begin
  const begun = new Promise((done) => { begin = done })
  const beginAuthorization = client.beginAuthorization
  client.beginAuthorization = async function (...args) {
    const flow = await beginAuthorization.apply(this, args)
    begin(flow.url)
    return flow
  }
  const output = await captureStderr(async () => {
    const signedIn = login(client, { scope, show: unexpected('a code') })
    await browse(await begun)
    assert.ok((await signedIn).accessToken)
  })
  process.env.PATH = PATH
  assert.match(output, /the login opens in your browser/i)
})

test('the program in BROWSER is used without a display', { skip: process.platform !== 'linux' }, async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'browser-'))
  const program = path.join(folder, 'code browser')
  const seen = path.join(folder, 'seen')
  writeFileSync(program, `#!/bin/sh\nprintf '%s\\n' "$@" > ${seen}.new && mv ${seen}.new ${seen}\n`)
  chmodSync(program, 0o755)
  Object.assign(process.env, { BROWSER: `/no/such/browser:'${program}' --open=%s`, SSH_TTY: '/dev/pts/1' })
  const signedIn = login(await createClient(), { scope, show: unexpected('a code') })
  let url
  for (let waited = 0; url === undefined && waited < 10_000; waited += 20) {
    await new Promise((done) => setTimeout(done, 20))
    if (existsSync(seen)) url = readFileSync(seen, 'utf8').match(/^--open=(\S+)\n$/)[1]
  }
  await browse(url)
  assert.ok((await signedIn).accessToken)
})
