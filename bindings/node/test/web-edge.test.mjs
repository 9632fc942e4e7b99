// Every check of a sign-in in the runtimes beside Node.js: Workers, with the machine in WebAssembly; Deno and Bun, with the addon.
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { createRequire } from 'node:module'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { after, test } from 'node:test'
import { root, twins } from './helper.mjs'
import { install } from './web-apps.mjs'
import { checks } from './web-checks.mjs'

const place = path.join(root, 'tests/web/edge')
const tools = createRequire(path.join(place, 'package.json'))
const { build } = tools('esbuild')
const { Miniflare } = tools('miniflare')

install(place)

async function freePort() {
  const server = createServer()
  await new Promise((done) => server.listen(0, '127.0.0.1', done))
  const { port } = server.address()
  await new Promise((done) => server.close(done))
  return port
}

/** A Worker, bundled as wrangler does it: its modules in one file, and those of WebAssembly beside it. */
async function bundled(entry) {
  const beside = new Map()
  const wasm = {
    name: 'wasm',
    setup(bundler) {
      bundler.onResolve({ filter: /\.wasm$/ }, ({ path: name, resolveDir }) => {
        const file = path.basename(name)
        beside.set(file, readFileSync(path.join(resolveDir, name)))
        return { path: `./${file}`, external: true }
      })
    },
  }
  const { outputFiles: [script] } = await build({
    entryPoints: [path.join(place, entry)], bundle: true, write: false, format: 'esm', target: 'es2024', platform: 'browser',
    conditions: ['workerd', 'worker', 'browser'], external: ['cloudflare:*'], plugins: [wasm], nodePaths: [path.join(place, 'node_modules')],
  })
  const modules = [...beside].map(([file, contents]) => ({ type: 'CompiledWasm', path: file, contents }))
  return [{ type: 'ESModule', path: 'worker.mjs', contents: script.text }, ...modules]
}

const worker = await bundled('worker.mjs')

/** Serves the application in workerd. */
async function workerd(port, settings) {
  const server = new Miniflare({
    host: '127.0.0.1', port, modules: worker, compatibilityDate: '2026-07-01', bindings: { SETTINGS: settings },
    durableObjects: { RECORDS: { className: 'StoredRecord', useSQLite: true } },
  })
  await server.ready
  return () => server.dispose()
}

/** Serves the application in a program of its own. */
const program = (name, ...args) => async (port, settings) => {
  const command = path.join(place, 'node_modules/.bin', name)
  const child = spawn(command, [...args, 'serve.mjs', String(port), JSON.stringify(settings)], { cwd: place, stdio: ['ignore', 'pipe', 'inherit'] })
  const ended = new Promise((done) => child.once('exit', done))
  await new Promise((done, fail) => {
    child.once('error', fail)
    child.once('exit', (code) => fail(new Error(`${name} ended with ${code}`)))
    createInterface({ input: child.stdout }).on('line', done)
  })
  return async () => {
    child.kill()
    await ended
  }
}

const runtimes = {
  workerd,
  Deno: program('deno', 'run', '--allow-all', '--no-lock'),
  Bun: program('bun', 'run'),
}

const { generic: twin } = await twins()
await twin.claim('name', 'Ann')
const { clientId, clientSecret } = await twin.client()
const table = Object.fromEntries(checks.map(([what]) => [what, {}]))

for (const [runtime, start] of Object.entries(runtimes)) {
  for (const framework of ['fetch handler', 'Hono']) {
    const name = `${framework} in ${runtime}`
    for (const [what, check] of checks) {
      test(`${what}: ${name}`, async (context) => {
        const open = async ({ rootPath = '', admit = 'cart', ...settings } = {}) => {
          const port = await freePort()
          const base = `http://127.0.0.1:${port}${rootPath}`
          await twin.register(`${base}/auth/callback`)
          context.after(await start(port, { framework, base, twin: twin.base, clientId, clientSecret, rootPath, admit, ...settings }))
          return { base }
        }
        table[what][name] = 'no'
        await check({ open, twin })
        table[what][name] = 'yes'
      })
    }
  }
}

// What the documentation says of runtimes is what this prints.
if (process.env.OAUTH_CORE_TABLE) after(() => console.table(table))
