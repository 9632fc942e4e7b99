// The world the tests run in: a page server, the twins, a certified server, and a browser.

import { spawn } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { createRequire } from 'node:module'
import { extname, join, normalize } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { chromium } from 'playwright-core'

const packageRoot = fileURLToPath(new URL('..', import.meta.url))
const root = join(packageRoot, '../..')
/** The media types of what a page loads. */
export const TYPES = {
  '.css': 'text/css',
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.json': 'application/json',
  '.wasm': 'application/wasm',
}

/** Serves the package's own files; every path without an ending is the page. `made` are others. */
export async function pages(page = 'test/page.html', made = {}) {
  const server = createServer(async (request, response) => {
    const path = normalize(new URL(request.url, 'http://x').pathname)
    if (Object.hasOwn(made, path)) {
      return response.setHeader('content-type', TYPES[extname(path)] ?? TYPES['.html']).end(made[path]())
    }
    const file = extname(path) ? join(packageRoot, path) : join(packageRoot, page)
    try {
      const body = await readFile(file)
      const type = TYPES[extname(file)] ?? 'text/plain'
      response.writeHead(200, { 'content-type': type, 'referrer-policy': 'no-referrer' }).end(body)
    } catch {
      response.writeHead(404).end()
    }
  })
  await new Promise((done) => server.listen(0, '127.0.0.1', done))
  const origin = `http://127.0.0.1:${server.address().port}`
  return { origin, close: () => server.close() }
}

/** Starts a program that prints one line of JSON and stops when its input closes. */
async function started(command, args, options) {
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'], ...options })
  const lines = createInterface({ input: child.stdout })
  const line = await new Promise((done, fail) => {
    lines.once('line', done)
    child.once('exit', (code) => fail(new Error(`${command} ended with ${code}`)))
    child.once('error', fail)
  })
  return { ...JSON.parse(line), close: () => child.stdin.end() }
}

export function twins(origin) {
  const cargo = ['run', '--quiet', '-p', 'oauth-testkit', '--example', 'browser_twins', '--', origin]
  const built = process.env.BROWSER_TWINS
  return built ? started(built, [origin]) : started('cargo', cargo, { cwd: root })
}

/** The certified server, with a script for it, or the way to say that it is not installed. */
export function oidcProvider(origin, script = 'server.mjs') {
  const folder = join(root, 'tests/interop/oidc-provider')
  createRequire(join(folder, 'server.mjs')).resolve('oidc-provider')
  const env = { ...process.env, PAGE_ORIGIN: origin }
  return started(process.execPath, [script], { cwd: folder, env })
}

export const browser = () =>
  chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  })

/** A twin's control routes. */
export const control = (base) => ({
  counters: () => get(base, 'counters'),
  log: () => get(base, 'log'),
  fault: (fault) => post(base, 'fault', fault),
  advance: (seconds) => post(base, 'advance', { seconds }),
  expire: () => post(base, 'expire', {}),
  deny: () => post(base, 'deny', {}),
  rateLimit: (requests, seconds) => post(base, 'rate_limit', { requests, seconds }),
  consoleToken: async () => (await post(base, 'console_token', {})).access_token,
})

async function get(base, route) {
  return (await fetch(`${base}/_twin/${route}`)).json()
}

async function post(base, route, body) {
  const reply = await fetch(`${base}/_twin/${route}`, { method: 'POST', body: JSON.stringify(body) })
  if (!reply.ok) throw new Error(await reply.text())
  return reply.json()
}
