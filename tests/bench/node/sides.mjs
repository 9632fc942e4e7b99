// One client_credentials grant by each library: a function of the scope that gives the access token.
//
// Each takes the base of a server, and a `fetch` if not its own. Credentials go into the
// Authorization header; they are letters and digits, for the libraries encode other characters
// differently.
import { CLIENT, OURS } from './harness.mjs'

const metadata = (base) => ({ issuer: base, token_endpoint: `${base}/token` })

export async function ourClient(base, fetch, send) {
  const { Client, Server } = await import('../../../bindings/node/js/index.mjs')
  const server = Server.fromMetadata(base, metadata(base), { transport: 'loopback_http' })
  return new Client(server, { clientId: CLIENT.id, clientSecret: CLIENT.secret, fetch, send })
}

async function ours(base, fetch) {
  const client = await ourClient(base, fetch)
  return async (scope) => (await client.clientCredentials({ scope }).token()).accessToken
}

async function oauth4webapi(base, fetch) {
  const oauth = await import('oauth4webapi')
  const [server, client] = [metadata(base), { client_id: CLIENT.id }]
  const auth = oauth.ClientSecretBasic(CLIENT.secret)
  const options = { [oauth.allowInsecureRequests]: true, ...(fetch && { [oauth.customFetch]: fetch }) }
  return async (scope) => {
    const parameters = new URLSearchParams({ scope })
    const reply = await oauth.clientCredentialsGrantRequest(server, client, auth, parameters, options)
    return (await oauth.processClientCredentialsResponse(server, client, reply)).access_token
  }
}

async function openidClient(base, fetch) {
  const oidc = await import('openid-client')
  const config = new oidc.Configuration(metadata(base), CLIENT.id, undefined, oidc.ClientSecretBasic(CLIENT.secret))
  oidc.allowInsecureRequests(config)
  if (fetch) config[oidc.customFetch] = fetch
  return async (scope) => (await oidc.clientCredentialsGrant(config, { scope })).access_token
}

const authorization = `Basic ${Buffer.from(`${CLIENT.id}:${CLIENT.secret}`).toString('base64')}`
const type = 'application/x-www-form-urlencoded'
const form = (scope) => new URLSearchParams({ grant_type: 'client_credentials', scope }).toString()

/** The same request with minimal code, over a `fetch`. */
async function plainFetch(base, fetch = globalThis.fetch) {
  const headers = { authorization, accept: 'application/json', 'content-type': type }
  return async (scope) => {
    const reply = await fetch(`${base}/token`, { method: 'POST', headers, body: form(scope) })
    return (await reply.json()).access_token
  }
}

/** The same request with minimal code, over `node:http` with 64 sockets. */
async function plainHttp(base) {
  const { Agent, request } = await import('node:http')
  const agent = new Agent({ keepAlive: true, maxSockets: 64 })
  return (scope) => new Promise((done, fail) => {
    const body = form(scope)
    const headers = { authorization, accept: 'application/json', 'content-type': type, 'content-length': body.length }
    const sent = request(`${base}/token`, { method: 'POST', agent, headers }, (reply) => {
      const chunks = []
      reply.on('data', (chunk) => chunks.push(chunk))
      reply.on('end', () => done(JSON.parse(Buffer.concat(chunks)).access_token))
    })
    sent.on('error', fail)
    sent.end(body)
  })
}

/** A pool of npm's undici, as a `fetch`: compared with our own transport. */
async function pool(base) {
  const undici = await import('undici')
  const dispatcher = new undici.Pool(base, { connections: 16 })
  return (url, init) => undici.fetch(url, { ...init, dispatcher })
}

/** Over a given `fetch`. */
export const OVER_FETCH = {
  [OURS]: ours,
  'plainest code': plainFetch,
  oauth4webapi,
  'openid-client': openidClient,
}

/** Over the default transport of each library; the last two are ours over other transports. */
export const OVER_SOCKETS = {
  [OURS]: ours,
  'node:http, 64 sockets': plainHttp,
  oauth4webapi,
  'openid-client': openidClient,
  'oauth-core over undici, 16 sockets': async (base) => ours(base, await pool(base)),
  'oauth-core over global fetch': (base) => ours(base, globalThis.fetch),
}
