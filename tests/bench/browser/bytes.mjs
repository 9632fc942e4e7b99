// Bytes a page loads to sign in with PKCE, come back and keep the token fresh: the same page with
// each library, bundled and minified by esbuild. Ours also loads a WebAssembly module, once the first
// call needs it, and its bytes are listed by section. Bytes are the same on every machine: past a limit,
// this fails.
//
// `bytes.mjs MODULE`: the module as cargo built it, with its names.
import { readFileSync } from 'node:fs'
import { basename } from 'node:path'
import { fileURLToPath } from 'node:url'
import { brotliCompressSync, gzipSync } from 'node:zlib'
import { build } from 'esbuild'
import { OURS, printFigure } from '../node/harness.mjs'
import { breakdown } from './sections.mjs'

const here = (name) => fileURLToPath(new URL(name, import.meta.url))
const WASM = '../../../bindings/wasm/pkg/oauth_core_web_bg.wasm'
const SIDES = [OURS, 'oauth4webapi', 'openid-client', 'oidc-client-ts']
/** The budget of the page, in bytes. */
const BUDGET = 16_000
/**
 * What must not be passed, in brotli. What blocks the page is at its goal; the module is not: its goal is
 * 80 kB, and the limit is what was reached, so that nothing grows unseen.
 */
const LIMITS = { 'blocks the page': 8_010, 'WebAssembly module': 160_700, 'an error class alone': 500 }
const GOAL = 80_000

const raw = (bytes) => bytes.length
const gzip = (bytes) => gzipSync(bytes, { level: 9 }).length
const brotli = (bytes) => brotliCompressSync(bytes).length

/** The JavaScript that the page loads before any call, in chunks, and what a call loads after it. */
async function bundle(entryPoint) {
  const { outputFiles, metafile } = await build({
    ...entryPoint,
    bundle: true,
    minify: true,
    splitting: true,
    format: 'esm',
    target: 'es2022',
    outdir: 'page',
    write: false,
    metafile: true,
  })
  // Modules that are imported on demand are entries too.
  const isPage = (name) => /pages\/[^/]+$|^<stdin>$/.test(metafile.outputs[name].entryPoint ?? '')
  const entry = Object.keys(metafile.outputs).find(isPage)
  const loaded = new Set([entry])
  for (const name of loaded) {
    for (const { path, kind } of metafile.outputs[name].imports) {
      if (kind === 'import-statement') loaded.add(path)
    }
  }
  const isLoaded = ({ path }) => [...loaded].some((name) => path.endsWith(name))
  const contents = (files) => files.map(({ contents }) => contents)
  const chunks = contents(outputFiles.filter(isLoaded))
  // The page names an issuer, so it never loads the presets.
  const glue = contents(outputFiles.filter(({ path }) => path.includes('oauth_core_web')))
  const presets = contents(outputFiles.filter(({ path }) => path.includes('presets')))
  return { chunks, glue, presets, inputs: metafile.outputs[entry].inputs }
}

const pages = {}
for (const side of SIDES) pages[side] = await bundle({ entryPoints: [here(`pages/${side}.js`)] })
const error = { contents: "import { OAuthError } from './index.js'; console.log(OAuthError)", resolveDir: here('../../../bindings/wasm/js') }
const alone = await bundle({ stdin: error })
const module = readFileSync(here(WASM))
const [script] = pages[OURS].chunks
const [glue] = pages[OURS].glue
pages[OURS].chunks.push(glue, module)

const sum = (size) => Object.fromEntries(
  Object.entries(pages).map(([side, { chunks }]) => [side, chunks.reduce((sum, chunk) => sum + size(chunk), 0)]),
)
const name = 'Browser: sign in with PKCE, callback, refresh'
printFigure(name, 'bytes shipped, minified', sum(raw))
printFigure(name, 'bytes shipped, gzip -9', sum(gzip))
printFigure(name, 'bytes shipped, brotli 11', sum(brotli), { budget: BUDGET })

const ours = {
  'blocks the page': brotli(script),
  'WebAssembly module': brotli(module),
  'written by wasm-bindgen': brotli(glue),
  'presets, where one is named': brotli(pages[OURS].presets[0]),
  'an error class alone': brotli(alone.chunks[0]),
}
printFigure('Browser: our bytes', 'bytes, brotli 11', ours)
const inputs = Object.entries(pages[OURS].inputs).map(([path, { bytesInOutput }]) => [basename(path), bytesInOutput])

const bySize = (sizes) => Object.fromEntries(Object.entries(sizes).sort(([, a], [, b]) => b - a))
printFigure('Browser: our module, by section', 'bytes', bySize(breakdown(module).sections))
printFigure('Browser: what blocks the page, by file', 'bytes, minified', bySize(Object.fromEntries(inputs)))
const { crates, causes, functions } = breakdown(readFileSync(process.argv[2]))
printFigure("Browser: our module's code, by what it is for", 'bytes', bySize(causes))
const count = functions.length.toLocaleString('en')
printFigure(`Browser: our module's ${count} functions, by crate`, 'bytes', bySize(crates))

for (const [what, limit] of Object.entries(LIMITS)) {
  if (ours[what] <= limit) continue
  console.log(`${what}: ${ours[what]} bytes in brotli, and no more than ${limit} are allowed`)
  process.exitCode = 1
}
console.log(`The module's goal of ${GOAL} bytes is ${ours['WebAssembly module'] <= GOAL ? 'reached' : 'not reached yet'}.`)
