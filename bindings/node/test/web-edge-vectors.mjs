// Whole sign-ins in workerd, as every language plays them; `web-edge.test.mjs` runs them, which has installed the package
// where they are bundled.
import { request as send } from 'node:http'
import { after, test } from 'node:test'
import { twins } from './helper.mjs'
import { SHOP, inJavaScript, play, signIns } from './web-sign-ins.mjs'
import { bundled, freePort, served } from './web-worker.mjs'

const worker = await bundled("export * from './vectors.mjs'; export { default } from './vectors.mjs'")
const { generic: twin } = await twins()
const { clientId, clientSecret } = await twin.client()

/** Over a socket, since `fetch` writes some of these fields itself. */
function asked(port, { method, url, headers }, access) {
  const target = url.slice(SHOP.length)
  return new Promise((done, fail) => {
    const sent = send({ host: '127.0.0.1', port, method, path: target, headers: { ...headers, host: new URL(SHOP).host, 'x-access': access } })
    sent.once('error', fail).once('response', async (reply) => {
      const chunks = await reply.toArray()
      const fields = new Headers()
      for (let at = 0; at < reply.rawHeaders.length; at += 2) fields.append(reply.rawHeaders[at], reply.rawHeaders[at + 1])
      const body = [204, 304].includes(reply.statusCode) ? null : Buffer.concat(chunks)
      done(new Response(body, { status: reply.statusCode, headers: fields }))
    })
    sent.end()
  })
}

for (const signIn of signIns) {
  test(`a whole sign-in in workerd: ${signIn.name}`, async () => {
    const site = inJavaScript(signIn.site)
    await twin.register(`${SHOP}${site.prefix ?? '/auth'}/callback`)
    const port = await freePort()
    const settings = { twin: twin.base, clientId, clientSecret, baseUrl: SHOP, stored: signIn.stored ?? false, site }
    after(await served(port, worker, { SETTINGS: settings }))
    await play(signIn, twin.base, (request, access) => asked(port, request, access))
  })
}
