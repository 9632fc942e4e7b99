// Every check of a sign-in in the other runtimes: Workers, with the machine in WebAssembly; Deno and Bun, with the
// addon.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { after, test } from 'node:test'
import { freePort, root, twins } from './helper.mjs'
import { install } from './web-apps.mjs'
import { Browser, checks } from './web-checks.mjs'
import { bundled, chapter, place, served, snippets, wrangler } from './web-worker.mjs'

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

/** Settings of a client of the twin with this base URL. */
async function environment(base) {
  await twin.register(`${base}/auth/callback`)
  return {
    ...wrangler.vars, OAUTH_ISSUER: twin.base, OAUTH_CLIENT_ID: clientId, OAUTH_CLIENT_SECRET: clientSecret, OAUTH_BASE_URL: base,
    OAUTH_KEY: Buffer.alloc(32, 7).toString('base64url'),
  }
}

/** The twin is on this machine. */
const withLoopback = (code) => code.replace('Site.fromEnv({', "Site.fromEnv({ transport: 'loopback_http',")

const ANN = 'user-248289761001'
const readme = path.join(root, 'bindings/node/README.md')
const pages = [...snippets(chapter, 'js worker'), ...snippets(readme, 'js worker')]
const expectedPages = [
  { '/': `Hello, ${ANN}` },
  { '/': 'Hello, stranger', '/orders': 'The API says 200' },
  { '/': 'Hello, stranger', '/auth/login': `Hello, ${ANN}` },
]

test('there is an expected result for each documented Worker', () => assert.equal(pages.length, expectedPages.length))

for (const [index, code] of pages.entries()) {
  test(`the documentation's Worker ${index + 1}`, async (context) => {
    const port = await freePort()
    const base = `http://127.0.0.1:${port}`
    context.after(await served(port, await bundled(withLoopback(code)), await environment(base)))
    const ann = new Browser()
    for (const [page, text] of Object.entries(expectedPages[index])) assert.equal((await ann.open(base + page)).text, text)
  })
}

for (const [kind, ...args] of [['bun', 'run'], ['deno', 'run', '--no-lock', '--allow-net', '--allow-env', '--allow-read', '--allow-ffi', '--allow-sys']]) {
  test(`the documentation's program for ${kind}`, async (context) => {
    const [code] = snippets(chapter, `js ${kind}`)
    const port = await freePort()
    const base = `http://127.0.0.1:${port}`
    const file = path.join(place, `node_modules/.${kind}-example.mjs`)
    writeFileSync(file, `${withLoopback(code).replace('port: 3000', `port: ${port}`)}\nconsole.log('{}')\n`)
    context.after(await started(kind, [...args, file], await environment(base)))
    assert.equal((await new Browser().open(base)).text, `Hello, ${ANN}`)
  })
}

test('options that a Worker does not support are reported', async (context) => {
  const code = `
    import * as core from 'oauth-core'
    const server = core.Server.fromMetadata('https://login.example', { issuer: 'https://login.example', token_endpoint: 'https://login.example/token' })
    const client = (options) => new core.Client(server, { clientId: 'id', ...options })
    const store = { load() {}, save() {}, lease() {} }
    const uses = {
      MemoryStore: () => new core.MemoryStore(),
      FileStore: () => new core.FileStore('/records'),
      SqliteStore: () => new core.SqliteStore('/records.db'),
      RedisStore: () => new core.RedisStore('redis://localhost'),
      PostgresStore: () => new core.PostgresStore('postgresql://localhost/db'),
      KeySource: () => new core.SealedStore(store, { dataKey() {}, unwrapKey() {} }),
      'SealingKey.fromKeyring': () => core.SealingKey.fromKeyring('/records'),
      Network: () => new core.Network(),
      serviceAccount: () => client({ clientAuth: core.serviceAccount('{}') }),
      'mutual TLS': () => client({ clientAuth: 'tls_client_auth' }),
      assertionFunction: () => client({ clientAuth: core.assertionFunction(() => 'a.b.c') }),
      workloadIdentity: () => client({ clientAuth: core.workloadIdentity('github') }),
      ResourceConnection: () => new core.ResourceConnection('https://api.example'),
      'Client.fromFile': () => core.Client.fromFile('client.json'),
      'fixedToken({ env })': () => core.fixedToken({ env: 'TOKEN' }),
      'fixedToken({ file })': () => core.fixedToken({ file: '/token' }),
      login: () => core.login(client({ clientAuth: 'none' })),
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
  const body = await (await fetch(`http://127.0.0.1:${port}/`)).json()
  const expectedCodes = Object.fromEntries(Object.keys(body).map((name) => [name, 'misuse.not_supported']))
  assert.deepEqual(body, expectedCodes)
  // The table in the guide lists exactly these.
  const rows = readFileSync(chapter, 'utf8').split('\n').filter((line) => line.endsWith('| `misuse.not_supported` |'))
  const named = rows.flatMap((row) => row.split('|')[1].split(',').map((name) => name.trim().replaceAll('`', '')))
  assert.deepEqual(named.sort(), Object.keys(body).sort())
})

test('a Worker sends the access token kept in the session cookie', async (context) => {
  const code = `
    import { env } from 'cloudflare:workers'
    import { Site } from 'oauth-core/web'
    const site = Site.fromEnv({
      env, transport: 'loopback_http', access: 'signed_in', keep: 'access_token', scope: 'openid read', apiOrigins: [env.API],
    })
    export default { fetch: site.wrap(async (request, user) => {
      const { status } = await user.fetch(env.API + '/api/echo')
      const elsewhere = await user.fetch('https://elsewhere.example/').catch(({ code }) => code)
      return new Response(status + ' ' + elsewhere)
    }) }
  `
  const port = await freePort()
  const base = `http://127.0.0.1:${port}`
  context.after(await served(port, await bundled(code), { ...(await environment(base)), API: twin.base }))
  assert.equal((await new Browser().open(base)).text, '200 resource.origin_not_allowed')
})

test('a fixed token in a Worker expires, and is not renewed', async (context) => {
  const code = `
    import * as core from 'oauth-core'
    const origins = ['https://api.example']
    const say = async (ask) => { try { await ask(); return 'taken' } catch (error) { return error.code ?? String(error) } }
    export default { async fetch() {
      const source = core.fixedToken('a', { origins })
      const tokens = await source.token()
      const over = core.fixedToken('a', { origins, expiresAt: new Date(1000) })
      return Response.json([await say(() => source.token()), await say(() => source.renew(tokens)), await say(() => over.token())])
    } }
  `
  const port = await freePort()
  context.after(await served(port, await bundled(code), {}))
  assert.deepEqual(await (await fetch(`http://127.0.0.1:${port}/`)).json(), ['taken', 'grant.revoked', 'grant.expired'])
})

// After the package has been installed for the bundler.
await import('./web-edge-vectors.mjs')
await import('./web-edge-keys.mjs')
await import('./web-edge-stores.mjs')
await import('./web-edge-api-requests.mjs')

// What the documentation says of runtimes is what this prints.
if (process.env.OAUTH_CORE_TABLE) after(() => console.table(table))
