// Plays conversations for the judge of tests/vectors: one a line in, one transcript a line out.
// They are played in Chromium, by vectors-page.js, with the package that is installed in the folder
// named on the command line.

import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { extname, join, normalize } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { TYPES, browser } from './world.js'

const [installed] = process.argv.slice(2)
const PAGE = `<!doctype html>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'self'; script-src 'self' 'wasm-unsafe-eval'">
<title>player</title>
<script type="module" src="/vectors-page.js"></script>`

const server = createServer(async (request, response) => {
  const path = normalize(new URL(request.url, 'http://x').pathname)
  const isPlayerPage = path === '/vectors-page.js'
  const file = isPlayerPage ? fileURLToPath(new URL('vectors-page.js', import.meta.url)) : join(installed, path)
  try {
    const body = path === '/' ? PAGE : await readFile(file)
    response.writeHead(200, { 'content-type': TYPES[extname(path) || '.html'] }).end(body)
  } catch {
    response.writeHead(404).end()
  }
})
await new Promise((done) => server.listen(0, '127.0.0.1', done))
const chromium = await browser()
try {
  const page = await chromium.newPage()
  page.on('pageerror', (error) => console.error('page:', error))
  await page.goto(`http://127.0.0.1:${server.address().port}/`)
  await page.waitForFunction(() => globalThis.play !== undefined)
  for await (const line of createInterface({ input: process.stdin, crlfDelay: Infinity })) {
    const transcript = await page.evaluate((line) => globalThis.play(line), line)
    process.stdout.write(`${transcript}\n`)
  }
} finally {
  await chromium.close()
  server.close()
}
