// `npm install oauth-core` from a registry.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { promisify } from 'node:util'
import { build } from 'esbuild'
import webpack from 'webpack'
import { parse } from 'yaml'
import { emptyProject, example, flaws, install, nodePackages, registry, root, served } from './registry.mjs'

const run = promisify(execFile)
const require = createRequire(import.meta.url)
const { platform, targets } = require('../../bindings/node/js/platform.cjs')
const currentPlatform = platform()
let place, project, local, twins, secrets

before(async () => {
  place = await mkdtemp(path.join(tmpdir(), 'oauth-packages-'))
  project = path.join(place, 'project')
  local = await registry()
  await install(local.npm, await nodePackages(), project, 'oauth-core')
  twins = await served('twins')
  const clientData = await (await fetch(`${twins.socios}/_twin/client`)).json()
  secrets = { SOCIOS_KEY: clientData.client_id, SOCIOS_SECRET: clientData.client_secret }
  console.log(`# esbuild ${require('esbuild/package.json').version}, webpack ${webpack.version}`)
})
after(async () => {
  twins?.close()
  await local?.close()
  await rm(place, { recursive: true, force: true })
})

/** The README's first example, against a twin. */
async function script() {
  const code = await example('bindings/node/README.md', 'js')
  return code
    .replaceAll("provider('socios')", `provider('socios', { loopback: '${twins.socios}' })`)
    .replaceAll('https://api-public.socios.com', twins.socios)
}

async function node(cwd, ...args) {
  return (await run(process.execPath, args, { cwd, env: { ...process.env, ...secrets } })).stdout
}

async function version() {
  return JSON.parse(await readFile(path.join(root, 'bindings/node/package.json'), 'utf8')).version
}

test('the package installs only its native addon for this platform, in the same version', async () => {
  const modules = await readdir(path.join(project, 'node_modules'))
  assert.deepEqual(modules.filter((name) => !name.startsWith('.')).sort(), ['oauth-core', `oauth-core-${currentPlatform}`])
  const main = JSON.parse(await readFile(path.join(project, 'node_modules/oauth-core/package.json'), 'utf8'))
  const half = JSON.parse(await readFile(path.join(project, `node_modules/oauth-core-${currentPlatform}/package.json`), 'utf8'))
  assert.equal(half.version, await version())
  const named = Object.keys(targets).map((name) => [`oauth-core-${name}`, half.version])
  assert.deepEqual(main.optionalDependencies, Object.fromEntries(named))
  for (const name of ['oauth-core', `oauth-core-${currentPlatform}`]) {
    const files = await readdir(path.join(project, 'node_modules', name))
    assert.deepEqual(files.filter((file) => file.startsWith('LICENSE')).sort(), ['LICENSE-APACHE', 'LICENSE-MIT'])
  }
  assert.ok(!main.private && !main.devDependencies && !main.scripts)
})

test('native.cjs requires each platform package by a literal name for bundlers', async () => {
  const text = await readFile(path.join(project, 'node_modules/oauth-core/js/native.cjs'), 'utf8')
  const requiredPackages = [...text.matchAll(/case '([^']+)': return require\('oauth-core-([^']+)'\)/g)]
  assert.deepEqual(requiredPackages.map(([, name, required]) => [name, required]), Object.keys(targets).map((name) => [name, name]))
})

test('the workflows parse, and build a wheel and an addon for each platform', async () => {
  const folder = path.join(root, '.github/workflows')
  const files = {}
  for (const name of await readdir(folder)) files[name] = parse(await readFile(path.join(folder, name), 'utf8'))
  const { wheel, node: addon } = files['bindings.yml'].jobs
  for (const job of [wheel, addon]) {
    const built = job.strategy.matrix.include.map(({ target }) => target)
    assert.deepEqual(built.sort(), Object.values(targets).sort())
  }
  const publish = files['release.yml'].jobs.npm.steps.at(-1).run
  assert.match(publish, new RegExp(`-eq ${Object.keys(targets).length}$`, 'm'))
  for (const { uses } of Object.values(files).flatMap((file) => Object.values(file.jobs))) {
    if (uses) assert.ok(files[path.basename(uses)].on.workflow_call !== undefined, uses)
  }
})

test('publint and attw find nothing', async () => {
  for (const folder of await nodePackages()) {
    // The platform packages are not imported directly.
    assert.deepEqual(await flaws(folder, path.basename(folder) === 'oauth-core' ? [] : undefined), [])
  }
})

test('require loads the package', () => node(project, '-e', "require('oauth-core')"))

test('import runs the first example of the README', async () => {
  assert.match(await node(project, '--input-type=module', '-e', await script()), /^200 \{/)
})

test('a platform without a native half gets a clear error', async () => {
  const bare = path.join(place, 'bare')
  await emptyProject(bare)
  await local.npm(bare, 'install', '--omit=optional', 'oauth-core')
  const loadError = (setup) => `${setup};
    try { require('oauth-core') } catch ({ name, code, advice, platform, message }) {
      console.log(JSON.stringify({ name, code, advice, platform, message }))
    }`
  const absent = JSON.parse(await node(bare, '-e', loadError('')))
  assert.deepEqual({ ...absent, message: undefined }, {
    name: 'UnsupportedPlatform', code: 'misuse.setup', advice: 'give_up', platform: currentPlatform, message: undefined,
  })
  assert.match(absent.message, new RegExp(`for ${currentPlatform}: oauth-core-${currentPlatform} is not installed: reinstall oauth-core`))
  const other = JSON.parse(await node(bare, '-e', loadError("Object.defineProperty(process, 'platform', { value: 'aix' })")))
  assert.match(other.message, new RegExp(`for aix-${process.arch}: it is not built for this platform, only for .*linux-x64-musl`))
})

test('a ten-line tool runs with only the package, and prompts the user once', async () => {
  const chapter = await readFile(path.join(root, 'crates/oauth-guide/chapters/without_a_browser.md'), 'utf8')
  const [, code] = /### One that asks once\n[^]*?```js\n([^]*?)```/.exec(chapter)
  assert.ok(code.trim().split('\n').filter((line) => line !== '').length <= 10)
  const folder = path.join(place, 'tool')
  const bin = path.join(folder, 'bin')
  await mkdir(bin, { recursive: true })
  await symlink(path.join(project, 'node_modules'), path.join(folder, 'node_modules'))
  await writeFile(path.join(folder, 'tool.mjs'), code)
  // A headless browser, opened as the system would open it.
  await writeFile(path.join(bin, 'xdg-open'), `#!${process.execPath}\nfetch(process.argv[2])\n`, { mode: 0o755 })
  const env = { ...process.env, ISSUER: twins.generic, PATH: [bin, process.env.PATH].join(path.delimiter) }
  for (let times = 0; times < 2; times += 1) {
    const { stdout } = await run(process.execPath, ['tool.mjs'], { cwd: folder, env })
    assert.equal(stdout, "[ 'offline_access', 'read' ]\n")
  }
  const log = await (await fetch(`${twins.generic}/_twin/log`)).json()
  assert.equal(log.filter((entry) => entry.path === '/device_authorization').length, 1)
})

test('esbuild copies the native addon next to the bundle', async () => {
  const entry = path.join(project, 'entry.mjs')
  await writeFile(entry, `${(await script()).replaceAll('await ', '')}`.replace(/const reply[^]*/, '')
    + "source.token().then(() => source.fetch(process.env.API)).then((reply) => console.log(reply.status))\n")
  const outdir = path.join(place, 'esbuild')
  const built = await build({
    entryPoints: [entry], outdir, bundle: true, platform: 'node', loader: { '.node': 'copy' }, logLevel: 'silent',
  })
  assert.deepEqual(built.errors, [])
  process.env.API = `${twins.socios}/polls/1.0.0/polls`
  const files = await readdir(outdir)
  assert.ok(files.some((name) => name.endsWith('.node')), files.join())
  // The bundle is in another folder, where it cannot resolve the project's modules.
  assert.equal(await node(outdir, 'entry.js'), '200\n')
})

test('webpack keeps the native addon external', async () => {
  const output = { path: path.join(project, 'webpack'), filename: 'bundle.js' }
  const stats = await promisify(webpack)({
    context: project, entry: './entry.mjs', mode: 'production', target: 'node', output,
    externals: [({ request }, done) => (/^oauth-core-/.test(request) ? done(null, `commonjs ${request}`) : done())],
  })
  assert.deepEqual([...stats.compilation.errors, ...stats.compilation.warnings].map(String), [])
  assert.equal(await node(output.path, 'bundle.js'), '200\n')
})

test('the README commands install the package from a checkout', async () => {
  const checkout = path.join(place, 'checkout')
  await emptyProject(checkout)
  await symlink(root, path.join(checkout, 'oauth-core'))
  const [clone, ...commands] = (await example('bindings/node/README.md', 'sh')).trim().split('\n')
  assert.match(clone, /^git clone https:\/\/github\.com\/oauth-core\/oauth-core$/)
  for (const command of commands) await run('sh', ['-c', command], { cwd: checkout })
  assert.match(await node(checkout, '--input-type=module', '-e', await script()), /^200 \{/)
})
