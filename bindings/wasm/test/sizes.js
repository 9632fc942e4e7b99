// What a page loads, in bytes: the module with what wasm-bindgen wrote, and the package's own files.

import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { brotliCompressSync, gzipSync } from 'node:zlib'

const packageRoot = fileURLToPath(new URL('..', import.meta.url))
const read = (name) => readFileSync(packageRoot + name)
/** What only some pages load: they have a row of their own, or a limit in hooks.test.js. */
const others = ['page-session.js', 'presets.js', 'react.js', 'server-session.js', 'session-management.js', 'vue.js']
const ownModules = readdirSync(`${packageRoot}js`).filter((name) => name.endsWith('.js') && !others.includes(name))

/** Rows of name, raw, gzip, brotli. */
export const rows = [
  ['oauth_core_web_bg.wasm', [read('pkg/oauth_core_web_bg.wasm')]],
  ['oauth_core_web.js (wasm-bindgen)', [read('pkg/oauth_core_web.js')]],
  ['presets.js', [read('js/presets.js')]],
  ['the other modules in js/', ownModules.map((name) => read(`js/${name}`))],
].map(([name, files]) => {
  const sum = (size) => files.reduce((sum, file) => sum + size(file).length, 0)
  return [name, sum((file) => file), sum((file) => gzipSync(file, { level: 9 })), sum((file) => brotliCompressSync(file))]
})

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const [name, raw, gzip, brotli] of rows) console.log(`${name}: ${raw} raw, ${gzip} gzip, ${brotli} brotli`)
}
