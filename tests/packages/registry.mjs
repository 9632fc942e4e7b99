// npm's registry software on a loopback address, with nothing in it but what is published here: what
// these packages need from elsewhere, they do not get.
import { execFile, spawn } from 'node:child_process'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { publint } from 'publint'
import { formatMessage } from 'publint/utils'
import { freePort } from '../ports.mjs'

const run = promisify(execFile)
export const root = fileURLToPath(new URL('../..', import.meta.url))

/** The folders that `build.mjs` lays out: each is published as it is. */
export async function nodePackages() {
  const place = path.join(root, 'bindings/node/npm')
  return (await readdir(place)).map((name) => path.join(place, name))
}

/** Starts a registry, and gives `{ npm, close }`: `npm` runs npm in a folder, against it alone. */
export async function registry() {
  const place = await mkdtemp(path.join(tmpdir(), 'oauth-registry-'))
  const config = [
    `storage: ${path.join(place, 'storage')}`,
    'uplinks: {}',
    "packages: { '**': { access: $all, publish: $all } }",
    'max_body_size: 100mb',
    'web: { enable: false }',
    'log: { type: stdout, format: pretty, level: warn }',
  ]
  await writeFile(path.join(place, 'config.yaml'), config.join('\n'))
  const address = `127.0.0.1:${await freePort()}`
  const require = createRequire(import.meta.url)
  const { bin, version } = require('verdaccio/package.json')
  const program = path.join(path.dirname(require.resolve('verdaccio/package.json')), bin.verdaccio ?? bin)
  const args = [program, '--config', path.join(place, 'config.yaml'), '--listen', address]
  const child = spawn(process.execPath, args, { cwd: place, stdio: ['ignore', 'pipe', 'pipe'] })
  let logText = ''
  for (const output of [child.stdout, child.stderr]) output.on('data', (text) => (logText += text))
  const isReachable = () => fetch(`http://${address}/-/ping`).then((reply) => reply.ok, () => false)
  for (const end = Date.now() + 60_000; !(await isReachable()); ) {
    if (child.exitCode !== null || Date.now() > end) throw new Error(`verdaccio ${version} does not start: ${logText}`)
    await new Promise((wake) => setTimeout(wake, 100))
  }
  console.log(`# verdaccio ${version}, node ${process.version}`)

  // Isolated from the npm settings and cache of the user.
  const settings = path.join(place, 'npmrc')
  const lines = [`registry=http://${address}/`, `//${address}/:_authToken=nobody`, 'audit=false', 'fund=false', 'update-notifier=false']
  await writeFile(settings, lines.join('\n'))
  const inherited = Object.entries(process.env).filter(([name]) => !/^npm_/i.test(name))
  const env = {
    ...Object.fromEntries(inherited),
    npm_config_userconfig: settings,
    npm_config_globalconfig: path.join(place, 'none'),
    npm_config_cache: path.join(place, 'cache'),
  }
  const npm = async (cwd, ...args) => (await run('npm', args, { cwd, env })).stdout
  const close = async () => {
    const ended = new Promise((done) => child.once('exit', done))
    child.kill()
    await ended
    await rm(place, { recursive: true, force: true })
  }
  return { npm, close, said: () => logText }
}

/** Publishes these folders, and installs the packages of these names into an empty one. */
export async function install(npm, folders, project, ...names) {
  for (const folder of folders) await npm(folder, 'publish', '--ignore-scripts')
  await emptyProject(project)
  await npm(project, 'install', ...names)
}

/**
 * What publint has to say of a package, hints included, and what attw says of where its types are found: nothing.
 * `attw` are more of attw's options; without any, it is not asked.
 */
export async function flaws(folder, attw) {
  const { messages } = await publint({ pkgDir: folder, level: 'suggestion', strict: true })
  const { name, exports: _, ...description } = JSON.parse(await readFile(path.join(folder, 'package.json'), 'utf8'))
  const problems = messages.map((message) => `${name}: ${formatMessage(message, { name, ...description }) ?? message.code}`)
  if (attw === undefined) return problems
  const place = await mkdtemp(path.join(tmpdir(), 'oauth-attw-'))
  try {
    const packed = await run('npm', ['pack', '--ignore-scripts', '--pack-destination', place, '--json'], { cwd: folder })
    const [{ filename }] = JSON.parse(packed.stdout)
    const program = path.join(root, 'tests/packages/node_modules/.bin/attw')
    await run(program, [path.join(place, filename), '--no-color', '--format', 'ascii', ...attw])
  } catch (error) {
    if (error.stdout === undefined) throw error
    problems.push(error.stdout + error.stderr)
  } finally {
    await rm(place, { recursive: true, force: true })
  }
  return problems
}

/** An empty project. */
export async function emptyProject(project) {
  await rm(project, { recursive: true, force: true })
  await mkdir(project, { recursive: true })
  await writeFile(path.join(project, 'package.json'), '{ "private": true }\n')
}

/** A program that says where it listens in one line of JSON, and stops when its input closes. */
export async function served(example, ...args) {
  const command = path.join(process.env.CARGO_TARGET_DIR ?? path.join(root, 'target'), 'debug/examples', example)
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] })
  const line = await new Promise((done, fail) => {
    child.stdout.once('data', done)
    child.once('error', fail)
    child.once('exit', (code) => fail(new Error(`${example} ended with ${code}`)))
  })
  return { ...JSON.parse(line), close: () => child.stdin.end() }
}

/** The first example of a README in this language. */
export async function example(readme, language) {
  const text = await readFile(path.join(root, readme), 'utf8')
  return text.match(new RegExp(`^\`\`\`${language}\\n([^]*?)^\`\`\`$`, 'm'))[1]
}
