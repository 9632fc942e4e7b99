// Sign-in vectors in workerd, common to all languages; `web-edge.test.mjs` runs them, which has installed the package
// where they are bundled.
import { request as send } from 'node:http'
import { after, test } from 'node:test'
import { freePort, twins } from './helper.mjs'
import { SHOP, callbackPaths, play, signIns } from './web-sign-ins.mjs'
import { bundled, served } from './web-worker.mjs'

const worker = await bundled("export * from './vectors.mjs'; export { default } from './vectors.mjs'")
const { generic: twin } = await twins()
const { clientId, clientSecret } = await twin.client()

/** Over a socket, since `fetch` writes some of these fields itself. */
function sendVisit(port, { method, url, headers, body }, options) {
  const { host } = new URL(url)
  const target = url.slice(`https://${host}`.length)
  return new Promise((done, fail) => {
    const sent = send({ host: '127.0.0.1', port, method, path: target, headers: { ...headers, host, 'x-visit': JSON.stringify(options) } })
    sent.once('error', fail).once('response', async (reply) => {
      const chunks = await reply.toArray()
      const fields = new Headers()
      for (let at = 0; at < reply.rawHeaders.length; at += 2) fields.append(reply.rawHeaders[at], reply.rawHeaders[at + 1])
      const isEmpty = [204, 304].includes(reply.statusCode)
      done(new Response(isEmpty ? null : Buffer.concat(chunks), { status: reply.statusCode, headers: fields }))
    })
    sent.end(body)
  })
}

/** Sites of the same settings are one Worker: each takes a while to start. They end with the last test. */
const started = new Map()
const ends = []
after(() => Promise.all(ends.map((end) => end())))

function startWorker({ site = {}, providers = null, stored = false }) {
  const settings = { twin: twin.base, clientId, clientSecret, baseUrl: SHOP, stored, site, providers }
  const key = JSON.stringify(settings)
  if (!started.has(key)) {
    started.set(key, (async () => {
      const port = await freePort()
      ends.push(await served(port, worker, { SETTINGS: settings }))
      return port
    })())
  }
  return started.get(key)
}

for (const signIn of signIns) {
  test(`a sign-in vector in workerd: ${signIn.name}`, async () => {
    for (const callback of callbackPaths(signIn)) await twin.register(callback)
    const port = await startWorker(signIn)
    await play(signIn, twin, (request, options) => sendVisit(port, request, options))
  })
}
