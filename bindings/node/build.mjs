// Builds the native half for this machine: into native/, and as a package of its own into npm/.
import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { join, resolve } from 'node:path'
import { platform } from './js/platform.cjs'

const here = fileURLToPath(new URL('.', import.meta.url))
const root = resolve(here, '../..')
const cargo = process.env.CARGO ?? 'cargo'
execFileSync(cargo, ['build', '--release', '--package', 'oauth-core-node'], { cwd: root, stdio: 'inherit' })

const library = { win32: 'oauth_core_node.dll', darwin: 'liboauth_core_node.dylib' }[process.platform] ?? 'liboauth_core_node.so'
const built = join(resolve(root, process.env.CARGO_TARGET_DIR ?? 'target'), 'release', library)
const name = platform()
const file = `oauth-core.${name}.node`
const [os, cpu, libc] = name.split('-')
const { version, license, repository, engines } = JSON.parse(readFileSync(join(here, 'package.json'), 'utf8'))
const described = {
  name: `oauth-core-${name}`,
  version,
  description: `The native half of oauth-core for ${name}`,
  license,
  repository,
  engines,
  main: file,
  files: [file],
  os: [os],
  cpu: [cpu],
  ...(os === 'linux' ? { libc: [libc === 'gnu' ? 'glibc' : 'musl'] } : {}),
}
for (const place of ['native', join('npm', name)]) {
  mkdirSync(join(here, place), { recursive: true })
  copyFileSync(built, join(here, place, file))
}
writeFileSync(join(here, 'npm', name, 'package.json'), JSON.stringify(described, null, 2) + '\n')
console.log(join('npm', name))
