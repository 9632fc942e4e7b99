// Applications behind nginx, a process of its own, with TLS in front and its default buffers: at the root of a host, and
// below a path. Sessions are in cookies, which is where sizes matter.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { request } from 'node:https'
import path from 'node:path'
import { freePort } from '../../ports.mjs'
import { frameworks } from './frameworks.mjs'
import { place, program, start, twin } from './world.mjs'

/** How an application of each language is told that it is below a path, and whether nginx takes the path off. */
const PLACED = {
  FastAPI: { strips: true, more: ['--root-path', '/shop'] },
  Express: { strips: true, env: { HELLO_ROOT: '/shop' } },
  axum: { strips: false, env: { HELLO_ROOT: '/shop' } },
}

/** As nginx is by default, and with what its users add: sizes of fields, and what the client's request was. */
const plain = (port) => `location / { proxy_pass http://127.0.0.1:${port}; }`
const below = (port, { strips }) => `location /shop/ {
      proxy_pass http://127.0.0.1:${port}${strips ? '/' : ''};
      proxy_buffer_size 16k;
      proxy_buffers 8 16k;
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    }`

const file = (name) => path.join(place, `nginx.${name}`)
let ca

/** One nginx for all: a server with its own port for each application. */
async function nginx(servers) {
  execFileSync('openssl', [
    'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '1', '-subj', '/CN=localhost',
    '-addext', 'subjectAltName=DNS:localhost', '-keyout', file('key'), '-out', file('crt'),
  ], { stdio: 'ignore' })
  ca = readFileSync(file('crt'))
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${file(name)};`)
  const listening = servers.map(({ port, location }) => `server { listen 127.0.0.1:${port} ssl; ${location} }`)
  writeFileSync(file('conf'), `daemon off; pid ${file('pid')}; error_log ${file('log')}; events {}
http {
  access_log off; ssl_certificate ${file('crt')}; ssl_certificate_key ${file('key')};
  ${temporary.join('\n  ')}
  ${listening.join('\n  ')}
}`)
  // Debian has it where only root's path leads.
  const found = existsSync('/usr/sbin/nginx') ? '/usr/sbin/nginx' : 'nginx'
  const child = program([found, '-e', file('log'), '-c', file('conf')], { stdio: 'ignore' })
  for (const until = Date.now() + 10_000; ;) {
    const reachable = await Promise.all(servers.map(({ port }) => sendRequest(`https://localhost:${port}/`).then(() => true, () => false)))
    if (reachable.every(Boolean)) return
    if (child.exitCode !== null || Date.now() > until) throw new Error(`nginx does not answer\n${readFileSync(file('log'), 'utf8')}`)
    await new Promise((wake) => setTimeout(wake, 20))
  }
}

function sendRequest(url, { method = 'GET', headers = {} } = {}) {
  return new Promise((done, fail) => {
    const { hostname, port, pathname, search } = new URL(url)
    const sent = request({ host: '127.0.0.1', servername: hostname, port, path: pathname + search, method, headers: { host: `${hostname}:${port}`, ...headers }, ca, agent: false }, async (reply) => {
      done({ status: reply.statusCode, headers: reply.headers, text: Buffer.concat(await reply.toArray()).toString() })
    })
    sent.on('error', fail)
    sent.end()
  })
}

/** A user who opens pages and follows redirects. */
class Person {
  cookies = new Map()

  async open(url, headers = {}) {
    const cookie = [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; ')
    const fields = { accept: 'text/html', 'sec-fetch-site': 'none', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document', ...(cookie && { cookie }), ...headers }
    const reply = await sendRequest(url, { headers: fields })
    for (const field of reply.headers['set-cookie'] ?? []) {
      const [pair, ...attributes] = field.split('; ')
      assert.ok(pair.startsWith('__Host-Http-') && attributes.includes('Secure'), field)
      const at = pair.indexOf('=')
      if (attributes.includes('Max-Age=0')) this.cookies.delete(pair.slice(0, at))
      else this.cookies.set(pair.slice(0, at), pair.slice(at + 1))
    }
    return reply
  }

  /** The response to the callback of a sign-in. */
  async signIn({ base }) {
    const { status, headers, text } = await this.open(`${base}/me`)
    assert.equal(status, 303, text)
    assert.equal(new URL(headers.location).searchParams.get('redirect_uri'), `${base}/auth/callback`)
    const there = await fetch(headers.location, { redirect: 'manual' })
    const callback = there.headers.get('location')
    assert.ok(callback?.startsWith(`${base}/auth/callback?`), callback)
    return this.open(callback, { 'sec-fetch-site': 'cross-site' })
  }

  async isSignedIn({ base, provider }) {
    const { status, text } = await this.open(`${base}/me`)
    assert.ok(status === 200 ? text.includes(provider.subject) : status === 303, `${status} ${text}`)
    return status === 200
  }
}

async function signIn(shop) {
  const ann = new Person()
  const back = await ann.signIn(shop)
  assert.deepEqual([back.status, back.headers.location], [303, `${new URL(shop.base).pathname.replace(/\/$/, '')}/me`], back.text)
  assert.equal(await ann.isSignedIn(shop), true)
}

/** ID tokens of different sizes: keeping one for the logout must not break the login. */
async function idTokens(shop) {
  try {
    for (let length = 700; length <= 1400; length += 100) {
      await shop.provider.claim('department', 'd'.repeat(length))
      const ann = new Person()
      assert.equal((await ann.signIn(shop)).status, 303, `${length} bytes`)
      assert.equal(await ann.isSignedIn(shop), true)
    }
  } finally {
    await shop.provider.claim('department', null)
  }
}

async function bigClaims(shop) {
  await shop.provider.claim('name', 'a'.repeat(shop.isWide ? 3900 : 1200))
  const ann = new Person()
  assert.equal((await ann.signIn(shop)).status, 303)
  assert.equal(await ann.isSignedIn(shop), true)
  assert.equal([...ann.cookies.keys()].filter((name) => /session(\.1)?$/.test(name)).length, shop.isWide ? 2 : 1)
  await shop.provider.claim('name', 'a'.repeat(9000))
  const bob = new Person()
  const named = await bob.signIn(shop)
  await shop.provider.claim('name', null)
  assert.deepEqual([named.status, named.text.includes('web.session_too_large')], [500, true], named.text)
  assert.equal(await bob.isSignedIn(shop), false)
}

/** Forged host, scheme and path headers have no effect, whether or not nginx passes them on. */
async function forged(shop) {
  const headers = {
    host: 'evil.example', 'x-forwarded-host': 'evil.example', 'x-forwarded-proto': 'http', 'x-forwarded-port': '80', 'x-forwarded-prefix': '/evil',
    'x-forwarded-for': '127.0.0.1', 'x-original-url': '/evil', forwarded: 'host=evil.example;proto=http', 'x-script-name': '/evil',
  }
  const reply = await new Person().open(`${shop.base}/me`, headers)
  assert.equal(reply.status, 303, reply.text)
  assert.ok(reply.headers.location.startsWith(`${shop.provider.issuer}/`))
  assert.equal(new URL(reply.headers.location).searchParams.get('redirect_uri'), `${shop.base}/auth/callback`)
  assert.ok(!JSON.stringify(reply.headers).includes('evil'), JSON.stringify(reply.headers))
}

async function signOut(shop) {
  const ann = new Person()
  await ann.signIn(shop)
  const elsewhere = await ann.open(`${shop.base}/auth/logout`, { 'sec-fetch-site': 'cross-site' })
  assert.equal(elsewhere.status, 200)
  assert.equal(await ann.isSignedIn(shop), true)
  const away = await ann.open(`${shop.base}/auth/logout`, { 'sec-fetch-site': 'same-origin' })
  assert.deepEqual([away.status, new URL(away.headers.location).origin], [303, shop.provider.issuer], away.text)
  assert.equal(await ann.isSignedIn(shop), false)
  const done = (await fetch(away.headers.location, { redirect: 'manual' })).headers.get('location')
  assert.ok(done?.startsWith(`${shop.base}/auth/logout/done?`), done)
  assert.equal((await ann.open(done, { 'sec-fetch-site': 'cross-site' })).status, 303)
}

export const checks = { 'sign in': signIn, 'ID tokens': idTokens, 'big claims': bigClaims, 'forged fields': forged, 'sign out': signOut }

/** What held, by application and check; and what went wrong. */
export async function behindNginx(only) {
  const selected = frameworks.filter(({ name }) => name in PLACED && (only === undefined || name.toLowerCase().includes(only)))
  const shops = await Promise.all(selected.flatMap((framework) => [false, true].map(async (isWide) => {
    const [port, front] = [await freePort(), await freePort()]
    const placement = PLACED[framework.name]
    const base = `https://localhost:${front}${isWide ? '/shop' : ''}`
    const provider = await twin()
    const more = isWide ? { env: { ...placement.env }, command: [...framework.command, ...(placement.more ?? [])] } : { env: {} }
    const env = { ...more.env, ...(framework.env?.PYTHONPATH && { PYTHONPATH: framework.env.PYTHONPATH }), OAUTH_STORE: undefined }
    const { told: getLog } = await start({ ...framework, ...more, env }, provider, { port, base })
    const name = `${framework.name}${isWide ? ', below a path' : ''}`
    return { name, base, provider, told: getLog, isWide, port: front, location: isWide ? below(port, placement) : plain(port) }
  })))
  if (shops.length === 0) return { rows: [], failures: [] }
  await nginx(shops)
  const failures = []
  const rows = await Promise.all(shops.map(async (shop) => {
    const row = {}
    for (const [name, check] of Object.entries(checks)) {
      try {
        await check(shop)
        row[name] = 'yes'
      } catch (error) {
        row[name] = 'NO'
        failures.push(`${shop.name} behind nginx, ${name}: ${error.stack}\n${shop.told()}\n${readFileSync(file('log'), 'utf8').slice(-2000)}`)
      }
    }
    return [shop.name, row]
  }))
  return { rows, failures }
}
