// Node.js without a framework: node http.mjs
import { createServer } from 'node:http'
import { Site } from 'oauth-core/web'

const { OAUTH_ISSUER: issuer, HELLO_RESPONSE_MODE: responseMode } = process.env
// Pages call it with a token that they never see.
const api = { twin: { url: `${issuer}/api`, methods: ['GET', 'POST'] } }
const site = Site.fromEnv({ scope: 'openid read offline_access', apiOrigins: [issuer], api, responseMode })
const [signIn, errors] = [site.express(), site.expressErrors()]

const pages = {
  '/me': [site.required, (user) => user.subject],
  '/pay': [site.required({ acr: ['mfa'] }), (user) => `paid by ${user.acr}`],
  '/fetch': [site.required, async (user) => String((await user.fetch(process.env.HELLO_API)).status)],
}

createServer((request, response) => {
  const failed = (error) => errors(error, request, response, () => response.writeHead(500).end())
  signIn(request, response, (error) => {
    if (error) return failed(error)
    if (request.url === '/') return response.end(`Hello, ${request.user?.subject ?? 'stranger'}`)
    const [required, page] = pages[request.url.split('?')[0]] ?? []
    if (page === undefined) return response.writeHead(404).end()
    required(request, response, (error) => {
      if (error) return failed(error)
      Promise.resolve(request.user).then(page).then((text) => response.end(text), failed)
    })
  })
}).listen(process.env.PORT, '127.0.0.1')
