// Programs, providers and the package under test.
import { execFile, spawn } from 'node:child_process'
import { cpSync, existsSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { freePort } from '../../ports.mjs'
import { root } from './frameworks.mjs'

const PATIENCE = 60_000
const run = promisify(execFile)
const target = process.env.CARGO_TARGET_DIR ?? path.join(root, 'target')
/** Files of this run: logs, databases, stores. */
export const place = mkdtempSync(path.join(tmpdir(), 'oauth-frameworks-'))
const running = new Set()

/** Ends what was started, and removes what it has written. */
export function closeAll() {
  for (const child of running) end(child)
  rmSync(place, { recursive: true, force: true })
}

/** Starts a program in a group of its own: servers have children. */
export function program([command, ...args], options) {
  const child = spawn(command, args, { detached: true, ...options })
  running.add(child)
  return child
}

/** Ends a program, and what it has started. */
function end(child) {
  // Its number may be another's by now.
  if (!running.delete(child)) return
  try {
    process.kill(-child.pid, 'SIGKILL')
  } catch {
    // It has ended by itself.
  }
}

/** How many applications are checked at once: all that wait leave a processor to another. */
const AT_ONCE = 4

/** Runs all, so many at once. */
export async function each(all, work) {
  const rest = [...all]
  await Promise.all(Array.from({ length: AT_ONCE }, async () => {
    while (rest.length > 0) await work(rest.shift())
  }))
}

/** What a program prints first: a line of JSON. */
function readStartupLine(child) {
  return new Promise((done, fail) => {
    child.once('error', fail)
    child.once('exit', (code) => fail(new Error(`${child.spawnfile} ended with ${code}`)))
    createInterface({ input: child.stdout }).once('line', (line) => done(JSON.parse(line)))
  })
}

export async function json(url, body, headers = {}) {
  const post = body && { method: 'POST', headers: { ...headers, 'content-type': 'application/json' }, body: JSON.stringify(body) }
  const reply = await fetch(url, post ?? { headers })
  const text = await reply.text()
  if (!reply.ok) throw new Error(`${url}: ${reply.status} ${text}`)
  return text === '' ? undefined : JSON.parse(text)
}

/** A twin, for one application, and the routes it is steered by. */
export async function twin() {
  const child = program([path.join(target, 'debug/examples/twins')], { stdio: ['pipe', 'pipe', 'inherit'] })
  const { generic: issuer } = await readStartupLine(child)
  const steer = (route, body) => json(`${issuer}/_twin/${route}`, body)
  const client = async (uri) => {
    await steer('register', { redirect_uri: uri })
    const { client_id: id, client_secret: secret } = await steer('client')
    return { id, secret }
  }
  return {
    issuer,
    end: () => end(child),
    api: `${issuer}/api/echo`,
    subject: 'user-248289761001',
    register: (base) => client(`${base}/auth/callback`),
    client,
    expire: () => steer('expire', {}),
    /** How long new tokens live. */
    tokensLive: (seconds) => steer('access_token_lifetime', { seconds }),
    /** Lets its clock run further ahead of the system's. */
    advance: (seconds) => steer('advance', { seconds }),
    revoke: () => steer('revoke', {}),
    claim: (name, value) => steer('claim', { name, value }),
    async counters() {
      const { refreshes, token_requests: requests, reuse_events: reuses, revocations } = await steer('counters')
      return { refreshes, requests, reuses, revocations }
    },
    // The twin signs out without confirmation.
    agreesToSignOut: async () => {},
  }
}

/** npm's oidc-provider, for all applications: each is a client of its own there. */
export async function oidcProvider() {
  const cwd = path.join(root, 'tests/interop/oidc-provider')
  const env = { ...process.env, ACCESS_TOKEN_SECONDS: '3600', ACR_VALUES: 'mfa' }
  const { issuer } = await readStartupLine(program([process.execPath, 'server.mjs'], { cwd, env, stdio: ['pipe', 'pipe', 'inherit'] }))
  return () => {
    let id
    return {
      issuer,
      api: `${issuer}/me`,
      subject: 'somebody',
      async register(base) {
        const client = await json(`${issuer}/reg`, {
          application_type: 'web', redirect_uris: [`${base}/auth/callback`], post_logout_redirect_uris: [`${base}/auth/logout/done`],
          backchannel_logout_uri: `${base}/auth/backchannel-logout`, backchannel_logout_session_required: true,
          grant_types: ['authorization_code', 'refresh_token'], scope: 'openid offline_access read',
        })
        id = client.client_id
        return { id, secret: client.client_secret }
      },
      expire: async () => void (await fetch(`${issuer}/_expire/${id}`, { method: 'POST' })),
      async counters() {
        const { refreshes, reuse_events: reuses, refused, revocations } = await json(`${issuer}/_counters/${id}`)
        return { refreshes, requests: refreshes + reuses + refused, reuses, revocations }
      },
      /** Its page asks whether to sign out; the test's has no button. */
      async agreesToSignOut(page) {
        await page.waitForURL((url) => url.href.startsWith(`${issuer}/session/end`))
        await page.evaluate(() => {
          const form = document.forms[0]
          form.append(Object.assign(document.createElement('input'), { name: 'logout', value: 'yes' }))
          form.submit()
        })
      },
      endSession: `${issuer}/session/end`,
    }
  }
}

/** Puts the package, as it is published, where the applications of a folder look for it. */
export function install(folder) {
  const from = path.join(target, 'node-project/node_modules')
  for (const name of readdirSync(from).filter((name) => name.startsWith('oauth-core'))) {
    const to = path.join(folder, 'node_modules', name)
    rmSync(to, { recursive: true, force: true })
    cpSync(path.join(from, name), to, { recursive: true })
  }
}

/** No variable of a site is there but ours. */
const quiet = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('OAUTH_')))

export async function build({ build: [command, ...args], cwd, env }) {
  await run(command, args, { cwd, env: { ...quiet, ...env }, maxBuffer: 1 << 26 })
}

let library
/** The library that shifts the clock of a program. */
function clockLibrary() {
  const made = path.join(place, 'clock.so')
  library ??= run('cc', ['-shared', '-fPIC', '-o', made, fileURLToPath(new URL('clock.c', import.meta.url))])
  return library.then(() => made)
}

/** The clock of one program: its environment, and how far it is ahead. */
async function clock(file) {
  const set = (seconds) => writeFileSync(file, new BigInt64Array([BigInt(seconds)]), { flag: existsSync(file) ? 'r+' : 'w' })
  set(0)
  return { set, env: { LD_PRELOAD: await clockLibrary(), CLOCK_AHEAD: file } }
}

/** Starts an application whose people sign in at this provider; they may reach it elsewhere than where it listens. */
export async function start({ name, command, cwd, env: frameworkEnv, before }, provider, reached = {}) {
  const { port = await freePort() } = reached
  const { base = `http://127.0.0.1:${port}` } = reached
  const { id, secret } = await provider.register(base)
  const folder = mkdtempSync(path.join(place, 'app-'))
  const moved = provider.advance ? await clock(path.join(folder, 'clock')) : undefined
  let ahead = 0
  const advance = async (seconds) => {
    ahead += seconds
    await provider.advance(seconds)
    moved.set(ahead)
  }
  const filled = (text) => text.replace('{port}', port).replace('{base}', base)
  const env = {
    ...quiet,
    OAUTH_ISSUER: provider.issuer, OAUTH_CLIENT_ID: id, OAUTH_CLIENT_SECRET: secret, OAUTH_BASE_URL: base,
    OAUTH_KEY: Buffer.alloc(32, 7).toString('base64url'), OAUTH_STORE: `sqlite:${folder}/sessions.sqlite`, OAUTH_TRANSPORT: 'loopback_http',
    ...moved?.env, PORT: String(port), HOST: '127.0.0.1', HELLO_API: provider.api, HELLO_DATABASE: path.join(folder, 'django.sqlite'),
    ...Object.fromEntries(Object.entries(frameworkEnv ?? {}).map(([name, value]) => [name, value && filled(value)])),
  }
  if (before) await run(before[0], before.slice(1), { cwd: folder, env })
  const log = path.join(folder, 'log')
  const out = openSync(log, 'w')
  const child = program(command.map(filled), { cwd: cwd ?? folder, env, stdio: ['ignore', out, out] })
  const readLog = () => (existsSync(log) ? readFileSync(log, 'utf8').slice(-3000) : '')
  for (const until = Date.now() + PATIENCE; ;) {
    if (await fetch(`http://127.0.0.1:${port}/auth/session`).then(() => true, () => false)) return { base, told: readLog, advance, end: () => end(child) }
    if (child.exitCode !== null || Date.now() > until) throw new Error(`${name} does not answer\n${readLog()}`)
    await new Promise((wake) => setTimeout(wake, 50))
  }
}
