// What a Worker is made of, in bytes: the module, and what wasm-bindgen wrote around it.
import { readFileSync } from 'node:fs'
import { brotliCompressSync, gzipSync } from 'node:zlib'

/** What Workers take on the free plan, packed (https://developers.cloudflare.com/workers/platform/limits/). */
const MAX_WORKER_BYTES = 3_000_000

for (const name of ['oauth_core_edge_bg.wasm', 'oauth_core_edge.mjs']) {
  const file = readFileSync(new URL(`edge/${name}`, import.meta.url))
  const packed = gzipSync(file, { level: 9 }).length
  console.log(`${name}: ${file.length} raw, ${packed} gzip, ${brotliCompressSync(file).length} brotli`)
  if (packed > MAX_WORKER_BYTES) process.exitCode = 1
}
