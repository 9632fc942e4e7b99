// Real servers, each on a free port, in a folder of its own, stopped when the tests of a file are over.
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chownSync, existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { freePort } from './helper.mjs'

export const PASSWORD = 'p-S3CR3T'

/** A folder that goes with the tests. */
function newFolder() {
  const folder = mkdtempSync(path.join(tmpdir(), 'oauth-core-'))
  after(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

async function listens(port) {
  const socket = connect(port, '127.0.0.1')
  const isThere = await once(socket, 'connect').then(() => true, () => false)
  socket.destroy()
  return isThere
}

/** Starts a server, and waits until it is ready. */
async function running(program, options, isReady, { install, ...more }) {
  const server = spawn(program, options.map(String), { stdio: 'ignore', ...more })
  const failed = once(server, 'exit').then(
    () => { throw new Error(`${program} ended`) },
    (error) => { throw new Error(`${program} is missing: apt-get install ${install}`, { cause: error }) },
  )
  failed.catch(() => {})
  // An immediate stop, which also ends the child processes of the server.
  after(async () => {
    server.kill('SIGQUIT')
    // A shell's background job ignores that signal, and so do its children that handle none.
    const late = setTimeout(() => server.kill('SIGKILL'), 3000)
    await failed.catch(() => {})
    clearTimeout(late)
  })
  const isReachable = async () => {
    while (!(await isReady())) await pause(10)
  }
  await Promise.race([isReachable(), failed])
}

/** Starts Redis; returns its URL, without a database. */
export async function redisServer() {
  const port = await freePort()
  const options = ['--port', port, '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--requirepass', PASSWORD]
  await running('redis-server', [...options, '--dir', newFolder()], () => listens(port), { install: 'redis-server' })
  return `redis://:${PASSWORD}@127.0.0.1:${port}`
}

/** The path of a PostgreSQL program: in PATH, or the newest version in Debian's folders. */
function program(name) {
  const debianFolder = '/usr/lib/postgresql'
  const versions = existsSync(debianFolder) ? readdirSync(debianFolder).sort((a, b) => b - a) : []
  const installed = versions.map((version) => `${debianFolder}/${version}/bin`)
  const places = [...process.env.PATH.split(path.delimiter), ...installed]
  const found = places.map((place) => path.join(place, name)).find((file) => existsSync(file))
  if (found === undefined) throw new Error(`${name} is missing: apt-get install postgresql`)
  return found
}

/** The user that runs PostgreSQL, which refuses to run as root: the one that Debian creates for it. */
function serverUser() {
  if (process.getuid() !== 0) return {}
  const id = (what) => Number(execFileSync('id', [what, 'postgres']))
  return { uid: id('-u'), gid: id('-g') }
}

/** Starts PostgreSQL; returns a function that creates a new database and returns its URL. */
export async function postgresServer() {
  const [initdb, postgres, isready, createdb] = ['initdb', 'postgres', 'pg_isready', 'createdb'].map(program)
  const folder = newFolder()
  const [data, password] = [path.join(folder, 'data'), path.join(folder, 'password')]
  writeFileSync(password, PASSWORD)
  const user = serverUser()
  if (user.uid !== undefined) for (const place of [folder, password]) chownSync(place, user.uid, user.gid)
  const initArguments = ['--username=tester', '--auth=scram-sha-256', '--no-sync', '--encoding=UTF8', '--locale=C']
  // The folder the tests run in may be closed to that user.
  const options = { cwd: '/', stdio: 'ignore', ...user }
  execFileSync(initdb, [...initArguments, `--pwfile=${password}`, `--pgdata=${data}`], options)
  const port = await freePort()
  const settings = ['listen_addresses=127.0.0.1', 'fsync=off', 'unix_socket_directories=']
  const serverArguments = ['-p', port, '-D', data, ...settings.flatMap((setting) => ['-c', setting])]
  // It listens before it accepts connections.
  const isReady = () => spawnSync(isready, ['--host=127.0.0.1', `--port=${port}`]).status === 0
  await running(postgres, serverArguments, isReady, { install: 'postgresql', ...options })
  const env = { ...process.env, PGPASSWORD: PASSWORD, PGHOST: '127.0.0.1', PGPORT: String(port), PGUSER: 'tester' }
  let databases = 0
  return () => {
    const name = `place_${(databases += 1)}`
    execFileSync(createdb, [name], { env, stdio: 'ignore' })
    return `postgres://tester:${PASSWORD}@127.0.0.1:${port}/${name}?sslmode=disable`
  }
}
