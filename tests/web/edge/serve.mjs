// The application in Bun and Deno: `serve.mjs PORT SETTINGS`.
import { MemoryStore } from 'oauth-core'
import { handler } from './app.mjs'

const [port, text] = globalThis.Deno ? Deno.args : process.argv.slice(2)
const { stored, ...settings } = JSON.parse(text)
const fetch = handler(settings, stored ? new MemoryStore() : undefined)
const at = { hostname: '127.0.0.1', port: Number(port) }
if (globalThis.Deno) Deno.serve({ ...at, onListen: () => console.log('{}') }, fetch)
else {
  Bun.serve({ ...at, fetch, idleTimeout: 60 })
  console.log('{}')
}
