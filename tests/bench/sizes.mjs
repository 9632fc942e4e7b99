// The sizes of our packages in bytes. `sizes.mjs FOLDER`: the folder of the wheel.
import { readFileSync, readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { brotliCompressSync, gzipSync } from 'node:zlib'
import { printFigure } from './node/harness.mjs'

/** The only file of a folder whose name ends with `end`. */
function only(folder, end) {
  const [name, ...others] = readdirSync(folder).filter((name) => name.endsWith(end))
  if (!name || others.length > 0) throw new Error(`one ${end} was to be in ${folder}`)
  return readFileSync(`${folder}/${name}`)
}

const binding = (name) => fileURLToPath(new URL(`../../bindings/${name}`, import.meta.url))
const wheel = only(process.argv[2], '.whl')
const addon = only(binding('node/native'), '.node')
const module = only(binding('wasm/pkg'), '.wasm')
const edge = only(binding('node/edge'), '_bg.wasm')
printFigure('Sizes', 'bytes', {
  'Python wheel': wheel.length,
  'Node.js addon': addon.length,
  'Node.js addon, gzip as npm packs it': gzipSync(addon, { level: 9 }).length,
  'Workers module': edge.length,
  'Workers module, gzip -9': gzipSync(edge, { level: 9 }).length,
  'Workers module, brotli 11': brotliCompressSync(edge).length,
  'browser module': module.length,
  'browser module, gzip -9': gzipSync(module, { level: 9 }).length,
  'browser module, brotli 11': brotliCompressSync(module).length,
})
