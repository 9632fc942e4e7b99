// `npm install oauth-core-web`, from a registry, into a page that Vite builds and Chromium loads.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { promisify } from 'node:util'
import { build as bundle } from 'esbuild'
import { chromium } from 'playwright-core'
import { build, version } from 'vite'
import { emptyProject, example, flaws, install, registry, root, served } from './registry.mjs'

const run = promisify(execFile)
const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.wasm': 'application/wasm' }
const built = path.join(root, 'bindings/wasm')
let place, project, local, server, origin, twins, browser

before(async () => {
  place = await mkdtemp(path.join(tmpdir(), 'oauth-packages-'))
  project = path.join(place, 'project')
  local = await registry()
  await install(local.npm, [built], project, 'oauth-core-web')
  // Every path without a file serves the page, as single-page hosts do.
  const page = async (url) => {
    const { pathname } = new URL(url, 'http://x')
    const file = path.join(project, 'dist', path.extname(pathname) ? pathname : 'index.html')
    return [TYPES[path.extname(file)] ?? 'text/plain', await readFile(file)]
  }
  server = createServer((request, response) => {
    page(request.url).then(
      ([type, body]) => response.writeHead(200, { 'content-type': type }).end(body),
      () => response.writeHead(404).end(),
    )
  })
  await new Promise((done) => server.listen(0, '127.0.0.1', done))
  origin = `http://127.0.0.1:${server.address().port}`
  twins = await served('browser_twins', origin)
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking', '--no-first-run'],
  })
  console.log(`# vite ${version}, chromium ${browser.version()}`)
})
after(async () => {
  await browser?.close()
  twins?.close()
  server?.close()
  server?.closeAllConnections()
  await local?.close()
  await rm(place, { recursive: true, force: true })
})

/** Builds the page in this folder with Vite. */
async function vite(folder, html) {
  await writeFile(path.join(folder, 'index.html'), `<!doctype html>${html}`)
  await build({ root: folder, configFile: false, logLevel: 'warn' })
  return readdir(path.join(folder, 'dist/assets'))
}

/** The README's page, against a twin. */
async function page() {
  const html = await example('bindings/wasm/README.md', 'html')
  return html
    .replace('YOUR_CLIENT_ID', 'uv-public-key')
    .replace("provider: 'uservoice',", `provider: 'uservoice', loopback: '${twins.uservoice}',`)
    .replace('https://app.example/callback', `${origin}/callback`)
    .replaceAll('https://acme.uservoice.com', twins.uservoice)
}

async function signsIn() {
  const context = await browser.newContext()
  const tab = await context.newPage()
  const loaded = []
  tab.on('response', (response) => loaded.push(new URL(response.url()).pathname))
  await tab.goto(`${origin}/callback`)
  await tab.locator('#sign-in').click()
  const outputElement = tab.locator('#answer', { hasText: 'users' })
  await outputElement.waitFor({ timeout: 30_000 })
  assert.match(await outputElement.textContent(), /"id":/)
  await context.close()
  return loaded
}

test('the README’s page, built by Vite, signs in and calls the API', async () => {
  const files = await vite(project, await page())
  assert.equal(files.filter((name) => name.endsWith('.wasm')).length, 1, files.join())
  const loaded = await signsIn()
  assert.ok(loaded.some((name) => name.startsWith('/assets/') && name.endsWith('.wasm')))
})

test('publint and attw find nothing', async () => {
  // It is for pages, whose bundlers read modules alone; and of a module of WebAssembly there are no types.
  const attwArguments = ['--profile', 'esm-only', '--exclude-entrypoints', 'oauth_core_web.wasm']
  assert.deepEqual(await flaws(built, attwArguments), [])
})

test('the WebAssembly module is exported by its own path', async () => {
  const require = createRequire(path.join(project, 'x.js'))
  const module = await readFile(require.resolve('oauth-core-web/oauth_core_web.wasm'))
  assert.ok(WebAssembly.validate(module))
})

test('importing only the errors bundles less than 3000 bytes', async () => {
  const { outputFiles } = await bundle({
    stdin: { contents: "import { OAuthError } from 'oauth-core-web'; console.log(OAuthError)", resolveDir: project },
    bundle: true, minify: true, write: false, format: 'esm', logLevel: 'silent',
  })
  const { length } = outputFiles[0].contents
  console.log(`# the errors alone: ${length} bytes`)
  assert.ok(length < 3000, `${length} bytes`)
})

test('the README commands install the package from a checkout', async () => {
  const checkout = path.join(place, 'checkout')
  await emptyProject(checkout)
  await symlink(root, path.join(checkout, 'oauth-core'))
  const [clone, ...commands] = (await example('bindings/wasm/README.md', 'sh')).trim().split('\n')
  assert.match(clone, /^git clone https:\/\/github\.com\/oauth-core\/oauth-core$/)
  for (const command of commands) await run('sh', ['-c', command], { cwd: checkout })
  const files = await vite(checkout, await page())
  assert.ok(files.some((name) => name.endsWith('.wasm')), files.join())
})
