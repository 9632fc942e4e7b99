// Bytes a page loads to sign in with PKCE, come back and keep the token fresh: the same page with
// each library, bundled and minified by esbuild. Ours also loads a WebAssembly module, and this says
// where its bytes are.
//
// `bytes.mjs MODULE`: the module as cargo built it, with its names.
import { readFileSync } from 'node:fs'
import { basename } from 'node:path'
import { fileURLToPath } from 'node:url'
import { brotliCompressSync, gzipSync } from 'node:zlib'
import { build } from 'esbuild'
import { OURS, figure } from '../node/harness.mjs'
import { breakdown } from './sections.mjs'

const here = (name) => fileURLToPath(new URL(name, import.meta.url))
const WASM = '../../../bindings/wasm/pkg/oauth_core_web_bg.wasm'
const SIDES = [OURS, 'oauth4webapi', 'openid-client', 'oidc-client-ts']
/** What the page is to weigh, in bytes. */
const BUDGET = 16_000

const raw = (bytes) => bytes.length
const gzip = (bytes) => gzipSync(bytes, { level: 9 }).length
const brotli = (bytes) => brotliCompressSync(bytes).length

/** The JavaScript that the page loads before anyone clicks, in chunks. */
async function bundle(side) {
  const { outputFiles, metafile } = await build({
    entryPoints: [here(`pages/${side}.js`)],
    bundle: true,
    minify: true,
    splitting: true,
    format: 'esm',
    target: 'es2022',
    outdir: 'page',
    write: false,
    metafile: true,
  })
  const entry = Object.keys(metafile.outputs).find((name) => metafile.outputs[name].entryPoint)
  const loaded = new Set([entry])
  for (const name of loaded) {
    for (const { path, kind } of metafile.outputs[name].imports) {
      if (kind === 'import-statement') loaded.add(path)
    }
  }
  const chunks = outputFiles.filter(({ path }) => [...loaded].some((name) => path.endsWith(name)))
  return { chunks: chunks.map(({ contents }) => contents), inputs: metafile.outputs[entry].inputs }
}

const pages = {}
for (const side of SIDES) pages[side] = await bundle(side)
const module = readFileSync(here(WASM))
pages[OURS].chunks.push(module)

const sum = (size) => Object.fromEntries(
  Object.entries(pages).map(([side, { chunks }]) => [side, chunks.reduce((sum, chunk) => sum + size(chunk), 0)]),
)
const name = 'Browser: sign in with PKCE, callback, refresh'
figure(name, 'bytes shipped, minified', sum(raw))
figure(name, 'bytes shipped, gzip -9', sum(gzip))
figure(name, 'bytes shipped, brotli 11', sum(brotli), { budget: BUDGET })

const [script] = pages[OURS].chunks
figure('Browser: our bytes', 'bytes, brotli 11', { 'WebAssembly module': brotli(module), JavaScript: brotli(script) })
const inputs = Object.entries(pages[OURS].inputs).map(([path, { bytesInOutput }]) => [basename(path), bytesInOutput])
const glue = inputs.find(([name]) => name === 'oauth_core_web.js')[1]
const own = inputs.reduce((sum, [, bytes]) => sum + bytes, 0) - glue
figure('Browser: our JavaScript', 'bytes, minified', { 'written by wasm-bindgen': glue, 'js/ and the page': own })

const bySize = (sizes) => Object.fromEntries(Object.entries(sizes).sort(([, a], [, b]) => b - a))
figure('Browser: our module, by section', 'bytes', bySize(breakdown(module).sections))
const { crates, functions } = breakdown(readFileSync(process.argv[2]))
figure(`Browser: our module's ${functions.length.toLocaleString('en')} functions, by crate`, 'bytes', bySize(crates))
