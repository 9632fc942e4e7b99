// The size of sign-in in bytes: the hook that a page with React loads, as `oauth-core-web/react` has it, minified, without React;
// and the WebAssembly module of a Worker. Bytes are the same on every machine.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { brotliCompressSync, gzipSync } from 'node:zlib'
import { OURS, printFigure } from '../node/harness.mjs'

const binding = (name) => fileURLToPath(new URL(`../../../bindings/${name}`, import.meta.url))
const { buildSync } = createRequire(new URL('../package.json', import.meta.url))('esbuild')

/** WEBLOGIN.md section 10, 8. */
const HOOK = 2_000
/** The size limit of Workers on the free plan, packed (https://developers.cloudflare.com/workers/platform/limits/). */
const WORKER = 3_000_000

// A bundler writes the imports of a hook with a `config` into a separate file.
const { outputFiles: files } = buildSync({
  entryPoints: { hook: binding('wasm/js/react.js') }, outdir: 'out', splitting: true,
  bundle: true, minify: true, format: 'esm', target: 'es2022', external: ['react', './index.js'], write: false,
})
const { contents: hook } = files.find(({ path }) => path.endsWith('/hook.js'))
const published = Buffer.concat(['react.js', 'server-session.js'].map((name) => readFileSync(binding(`wasm/js/${name}`))))
const sizes = { [OURS]: brotliCompressSync(hook).length, 'as published, not minified': brotliCompressSync(published).length }
printFigure('Browser: the hook for React, without React, minified, brotli', 'bytes', sizes, { budget: HOOK })

const module = readFileSync(binding('node/edge/oauth_core_edge_bg.wasm'))
const glue = readFileSync(binding('node/edge/oauth_core_edge.mjs'))
const packed = gzipSync(module, { level: 9 }).length + gzipSync(glue, { level: 9 }).length
printFigure('Workers: the module and the glue around it, gzip', 'bytes', { [OURS]: packed }, { budget: WORKER })
printFigure('Workers: the module', 'bytes', { raw: module.length, 'gzip -9': gzipSync(module, { level: 9 }).length, 'brotli 11': brotliCompressSync(module).length })
