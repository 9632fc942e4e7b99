// Every check of a sign-in in the runtimes beside Node.js: Workers, with the machine in WebAssembly; Deno and Bun, with the addon.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { after, test } from 'node:test'
import { root, twins } from './helper.mjs'
import { install } from './web-apps.mjs'
import { Browser, checks } from './web-checks.mjs'
import { bundled, chapter, freePort, place, served, snippets, wrangler } from './web-worker.mjs'

install(place)

const worker = await bundled("export * from './worker.mjs'; export { default } from './worker.mjs'")

/** Serves the application in workerd. */
const workerd = (port, settings) => served(port, worker, { SETTINGS: settings })

/** Serves the application in a program of its own. */
const program = (name, ...args) => (port, settings) => started(name, [...args, 'serve.mjs', String(port), JSON.stringify(settings)])

async function started(name, args, env = {}) {
  const command = path.join(place, 'node_modules/.bin', name)
  const child = spawn(command, args, { cwd: place, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'inherit'] })
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

/** Settings of a client of the twin, whose people come back here. */
async function environment(base) {
  await twin.register(`${base}/auth/callback`)
  return {
    ...wrangler.vars, OAUTH_ISSUER: twin.base, OAUTH_CLIENT_ID: clientId, OAUTH_CLIENT_SECRET: clientSecret, OAUTH_BASE_URL: base,
    OAUTH_KEY: Buffer.alloc(32, 7).toString('base64url'),
  }
}

/** The twin is on this machine. */
const here = (code) => code.replace('Site.fromEnv({', "Site.fromEnv({ transport: 'loopback_http',")

const ANN = 'user-248289761001'
const readme = path.join(root, 'bindings/node/README.md')
const pages = [...snippets(chapter, 'js worker'), ...snippets(readme, 'js worker')]
const said = [
  { '/': `Hello, ${ANN}` },
  { '/': 'Hello, stranger', '/orders': 'The API says 200' },
  { '/': 'Hello, stranger', '/auth/login': `Hello, ${ANN}` },
]

test('there are as many Workers in the documentation as answers', () => assert.equal(pages.length, said.length))

for (const [index, code] of pages.entries()) {
  test(`the documentation's Worker ${index + 1}`, async (context) => {
    const port = await freePort()
    const base = `http://127.0.0.1:${port}`
    context.after(await served(port, await bundled(here(code)), await environment(base)))
    const ann = new Browser()
    for (const [page, text] of Object.entries(said[index])) assert.equal((await ann.open(base + page)).text, text)
  })
}

for (const [kind, ...args] of [['bun', 'run'], ['deno', 'run', '--no-lock', '--allow-net', '--allow-env', '--allow-read', '--allow-ffi', '--allow-sys']]) {
  test(`the documentation's program for ${kind}`, async (context) => {
    const [code] = snippets(chapter, `js ${kind}`)
    const port = await freePort()
    const base = `http://127.0.0.1:${port}`
    const file = path.join(place, `node_modules/.${kind}-example.mjs`)
    writeFileSync(file, `${here(code).replace('port: 3000', `port: ${port}`)}\nconsole.log('{}')\n`)
    context.after(await started(kind, [...args, file], await environment(base)))
    assert.equal((await new Browser().open(base)).text, `Hello, ${ANN}`)
  })
}

test('what is not there in a Worker says so', async (context) => {
  const code = `
    import * as core from 'oauth-core'
    const server = core.Server.fromMetadata('https://login.example', { issuer: 'https://login.example', token_endpoint: 'https://login.example/token' })
    const uses = {
      memory: () => new core.Memory(),
      redis: () => new core.RedisStore('redis://localhost'),
      sealed: () => new core.Sealed({ load() {}, save() {}, lease() {} }, new Uint8Array(32)),
      network: () => new core.Network(),
      key: () => new core.Client(server, { clientId: 'id', clientAuth: core.privateKeyJwt('a key') }),
      certificate: () => new core.Client(server, { clientId: 'id', clientAuth: 'tls_client_auth' }),
      file: () => core.Client.fromFile('client.json'),
      login: () => core.login(new core.Client(server, { clientId: 'id', clientAuth: 'none' })),
    }
    const code = async (use) => { try { await use(); return 'nothing' } catch (error) { return error.code ?? String(error) } }
    export default { async fetch() {
      const said = {}
      for (const [name, use] of Object.entries(uses)) said[name] = await code(use)
      return Response.json(said)
    } }
  `
  const port = await freePort()
  context.after(await served(port, await bundled(code), {}))
  const said = await (await fetch(`http://127.0.0.1:${port}/`)).json()
  assert.equal(Object.keys(said).length, 8)
  assert.deepEqual([...new Set(Object.values(said))], ['misuse.not_supported'], JSON.stringify(said))
})

// What the documentation says of runtimes is what this prints.
if (process.env.OAUTH_CORE_TABLE) after(() => console.table(table))
