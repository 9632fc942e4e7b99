// Builds the native half, into native/, and lays out what is published, into npm/: a package for each
// platform that was built here, and the main package, which names them all.
//
//   node build.mjs                     for this machine
//   node build.mjs --target TRIPLE     for another; `--zig` builds with cargo-zigbuild, for an old glibc or musl
//   node build.mjs --main              the main package alone
//
// What runs in Workers is built before: cargo xtask build edge.
import { execFileSync } from 'node:child_process'
import { copyFileSync, cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { platform, targets } from './js/platform.cjs'

/** The oldest glibc that is asked of a machine; Python's wheel asks for the same. */
const GLIBC = '2.17'

const here = fileURLToPath(new URL('.', import.meta.url))
const root = resolve(here, '../..')
const { devDependencies, scripts, private: _, ...main } = JSON.parse(readFileSync(join(here, 'package.json'), 'utf8'))
const { values: buildOptions } = parseArgs({
  options: { target: { type: 'string' }, zig: { type: 'boolean' }, main: { type: 'boolean' } },
})

const LICENCES = ['LICENSE-APACHE', 'LICENSE-MIT']

/** A package's folder, empty but for its description and the licences. */
function folder({ files, ...rest }) {
  const described = { ...rest, files: [...files, ...LICENCES] }
  const place = join(here, 'npm', described.name)
  rmSync(place, { recursive: true, force: true })
  mkdirSync(place, { recursive: true })
  writeFileSync(join(place, 'package.json'), JSON.stringify(described, null, 2) + '\n')
  for (const licence of LICENCES) copyFileSync(join(root, licence), join(place, licence))
  console.log(place)
  return place
}

function built(target) {
  const cargo = process.env.CARGO ?? 'cargo'
  const [command, full] = buildOptions.zig ? ['zigbuild', target.endsWith('-gnu') ? `${target}.${GLIBC}` : target] : ['build', target]
  const args = [command, '--release', '--package', 'oauth-core-node', ...(buildOptions.target ? ['--target', full] : [])]
  // A shared library for musl cannot have its C library inside.
  const flags = target.endsWith('-musl') ? { RUSTFLAGS: `${process.env.RUSTFLAGS ?? ''} -C target-feature=-crt-static` } : {}
  execFileSync(cargo, args, { cwd: root, stdio: 'inherit', env: { ...process.env, ...flags } })
  const ending = { windows: 'oauth_core_node.dll', apple: 'liboauth_core_node.dylib' }
  const library = Object.entries(ending).find(([part]) => target.includes(part))?.[1] ?? 'liboauth_core_node.so'
  return join(resolve(root, process.env.CARGO_TARGET_DIR ?? 'target'), buildOptions.target ?? '', 'release', library)
}

function native() {
  const name = buildOptions.target ? Object.keys(targets).find((name) => targets[name] === buildOptions.target) : platform()
  if (!Object.hasOwn(targets, name ?? '')) throw new Error(`no package is meant for ${buildOptions.target ?? name}`)
  const library = built(targets[name])
  const file = `oauth-core.${name}.node`
  const [os, cpu, libc] = name.split('-')
  const { version, license, repository, engines } = main
  const place = folder({
    name: `oauth-core-${name}`,
    version,
    description: `The native half of oauth-core for ${name}`,
    license,
    repository,
    engines,
    type: 'commonjs',
    main: file,
    files: [file],
    os: [os],
    cpu: [cpu],
    ...(os === 'linux' ? { libc: [libc === 'gnu' ? 'glibc' : 'musl'] } : {}),
  })
  mkdirSync(join(here, 'native'), { recursive: true })
  for (const to of [join(here, 'native'), place]) copyFileSync(library, join(to, file))
}

if (!existsSync(join(here, 'edge/oauth_core_edge_bg.wasm'))) throw new Error('cargo xtask build edge comes first')
if (!buildOptions.main) native()
const halves = Object.keys(targets).map((name) => [`oauth-core-${name}`, main.version])
const place = folder({ ...main, optionalDependencies: Object.fromEntries(halves) })
for (const name of [...main.files, 'README.md']) cpSync(join(here, name), join(place, name), { recursive: true })
