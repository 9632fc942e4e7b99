// Shared by the tests: the package, test servers, and a headless browser.
import { spawn } from 'node:child_process'
import { createServer } from 'node:http'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { after } from 'node:test'
import { fileURLToPath, pathToFileURL } from 'node:url'

/** The package under test; modules.test.mjs shows that `require` gives the same objects. */
export const core = await import('oauth-core')

/** The workspace root: the tests may run in a copy in a different place. */
export const root = process.env.OAUTH_CORE_ROOT ?? path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../..')

export const { freePort } = await import(pathToFileURL(path.join(root, 'tests/ports.mjs')))

/** Starts a program that says where it listens in one line of JSON, and stops when its input closes. */
async function start(command, args, cwd, environment = {}) {
  const child = spawn(command, args, { cwd, env: { ...process.env, ...environment }, stdio: ['pipe', 'pipe', 'inherit'] })
  after(() => new Promise((done) => {
    child.once('exit', done)
    child.stdin.end()
  }))
  const failed = new Promise((_, fail) => {
    child.once('error', fail)
    child.once('exit', (code) => fail(new Error(`${command} ended with ${code}`)))
  })
  failed.catch(() => {})
  const lines = createInterface({ input: child.stdout })
  const line = new Promise((done) => lines.on('line', (text) => text.startsWith('{') && done(text)))
  return JSON.parse(await Promise.race([line, failed]))
}

/** The servers built by cargo, if any. */
const built = process.env.OAUTH_BUILT

/** A server of the test kit. */
function example(name) {
  if (built) return start(path.join(built, 'examples', name), [], root)
  const args = ['run', '--quiet', '-p', 'oauth-testkit', '--features', 'tls', '--example', name]
  return start(process.env.CARGO ?? 'cargo', args, root)
}

/** The UserTesting twin behind TLS: `{ base, mutual, ca, certificate, key, client_id, client_secret }`. */
export const tls = () => example('tls')

/** The FAPI twin behind TLS, whose tokens are bound to certificates: `{ base, mutual, ca, certificates, client_id }`. */
export const fapiTls = () => example('fapi_tls')

/** The FAPI twin whose clients are workloads with X.509-SVIDs: `{ base, ca, spiffe_id, svid, other_svid }`. */
export const spiffeTls = () => example('spiffe_tls')

/** The twins, by their names. */
export async function twins() {
  const bases = await example('twins')
  return Object.fromEntries(Object.entries(bases).map(([name, base]) => [name.replace('_', '-'), new Twin(base)]))
}

/** npm's oidc-provider, with these environment variables: `{ issuer, clients }`. */
export function oidcProvider(environment) {
  return start(process.execPath, ['server.mjs'], path.join(root, 'tests/interop/oidc-provider'), environment)
}

/** The OpenID provider for clients that require more: signed requests, tokens that are bound to a key. */
export function fapiProvider(environment) {
  return start(process.execPath, ['fapi.mjs'], path.join(root, 'tests/interop/oidc-provider'), environment)
}

/** PyPI's django-oauth-toolkit, in its own environment: `{ issuer, clients, person }`. */
export function djangoOauthToolkit() {
  const folder = path.join(root, 'tests/interop/django-oauth-toolkit')
  return start(path.join(folder, '.venv/bin/python'), ['-B', 'server.py'], folder)
}

/** A server of the Model Context Protocol, made with the SDK for this language: `{ url, control }`. */
export function mcpServer(sdk) {
  const folder = path.join(root, 'tests/mcp', sdk)
  switch (sdk) {
    case 'python': return start(path.join(folder, '.venv/bin/python'), ['-B', 'server.py'], folder)
    case 'typescript': return start(process.execPath, ['server.mjs'], folder)
    default: return built
      ? start(path.join(built, 'mcp-server'), [], root)
      : start(process.env.CARGO ?? 'cargo', ['run', '--quiet', '-p', 'oauth-tests', '--bin', 'mcp-server'], root)
  }
}

/** A twin, and its control routes. */
export class Twin {
  constructor(base) {
    this.base = base
  }

  async #control(route, body) {
    const init = body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) }
    const reply = await fetch(`${this.base}/_twin/${route}`, init)
    if (!reply.ok) throw new Error(await reply.text())
    return reply.json()
  }

  /** `{ clientId, clientSecret, clientKey, publicClientId, issuer, redirectUris }` */
  async client() {
    const clientData = await this.#control('client')
    return {
      clientId: clientData.client_id,
      clientSecret: clientData.client_secret,
      clientKey: clientData.client_key,
      publicClientId: clientData.public_client_id,
      issuer: clientData.issuer,
      redirectUris: clientData.redirect_uris,
    }
  }

  log() { return this.#control('log') }
  counters() { return this.#control('counters') }
  fault(name, values = {}) { return this.#control('fault', { name, ...values }) }
  advance(seconds) { return this.#control('advance', { seconds }) }
  register(redirectUri) { return this.#control('register', { redirect_uri: redirectUri }) }
  /** Sets a claim of later ID tokens; `null` omits it. */
  claim(name, value) { return this.#control('claim', { name, value }) }
  /** The logout request that the provider posts if the session of the user, or the one named in ID tokens, ends. */
  async logoutToken(flaw) { return (await this.#control('logout_token', { flaw })).logout_token }
  /** Signed responses are encrypted to this JWK from now on. */
  encryptResponses(jwk, alg, enc) { return this.#control('encrypt_responses', { jwk, alg, enc }) }
  /** Sets the step-up that the API requires: `acr_values` and `max_age`, or `claims`. */
  stepUp(required) { return this.#control('step_up', required) }
  expire() { return this.#control('expire', {}) }
  /** Revokes every grant, with all of its tokens. */
  revoke() { return this.#control('revoke', {}) }
  forgetClient(clientId) { return this.#control('forget_client', { client_id: clientId }) }
  /** Later tokens are bound to keys, and each proof requires a new nonce. */
  async requireDpop() {
    await this.#control('require_dpop', {})
    await this.rotateNonces('once')
  }
  rotateNonces(nonces) { return this.#control('dpop_nonces', { nonces }) }
  withholdRefreshTokens() { return this.#control('withhold_refresh_tokens', {}) }
  /** Adds a user who approves requests with this `login_hint`. */
  addPerson(subject) { return this.#control('add_person', { subject }) }
  deny() { return this.#control('deny', {}) }
  rateLimit(requests, seconds) { return this.#control('rate_limit', { requests, seconds }) }
  pollingInterval(seconds) { return this.#control('polling_interval', { seconds }) }
  backchannelDelivery(delivery, endpoint) { return this.#control('backchannel_delivery', { delivery, endpoint }) }
  /** The notifications that a server would have posted to the client. */
  notifications() { return this.#control('notifications', {}) }
  takeServiceAccounts(tokenUri) { return this.#control('accept_service_accounts', { token_uri: tokenUri }) }
  registerAssertionKey(issuer, jwk) { return this.#control('register_assertion_key', { issuer, jwk }) }
  /** URLs of metadata documents on this machine are client ids from now on. */
  acceptClientIdMetadata() { return this.#control('accept_client_id_metadata', {}) }
  initialAccessToken(token) { return this.#control('initial_access_token', { token }) }
  trustPublisher(issuer, jwks) { return this.#control('trust_publisher', { issuer, jwks }) }
  announceSamlAssertion(assertion) { return this.#control('announce_saml_assertion', { assertion }) }
  authorizationLifetime(seconds) { return this.#control('authorization_lifetime', { seconds }) }
  renameResource() { return this.#control('rename_resource', {}) }
  refuseResources() { return this.#control('refuse_resources', {}) }
  signResourceMetadata(claims) { return this.#control('sign_resource_metadata', { claims }) }
  vouchTo(issuer, clientId) { return this.#control('vouch_to', { issuer, client_id: clientId }) }
  async trustIdentityProvider(issuer) {
    const jwks = await (await fetch(`${issuer}/jwks`)).json()
    return this.#control('trust_identity_provider', { issuer, jwks })
  }
  /** A token as a user creates it in the provider's console. */
  async consoleToken() { return (await this.#control('console_token', {})).access_token }

  /** The number of token requests that `work` makes. */
  async tokenRequests(work) {
    const before = (await this.counters()).token_requests
    await work()
    return (await this.counters()).token_requests - before
  }
}

/** A headless browser: keeps cookies, and stops at URLs for which `isHome` returns true. */
export class Browser {
  #cookies = new Map()
  #isHome
  #fetch

  /** Sends requests with `send`, by default with `fetch`. */
  constructor(isHome, send = fetch) {
    this.#isHome = isHome
    this.#fetch = send
  }

  /** Follows redirects: the final URL, and the page there if the server shows one. Posts the form, if any. */
  async open(start, form) {
    let url = new URL(start)
    let body = form
    for (let hop = 0; hop < 20 && !this.#isHome(url); hop += 1) {
      const cookie = [...this.#cookies].map(([name, value]) => `${name}=${value}`).join('; ')
      const method = body ? 'POST' : 'GET'
      const reply = await this.#fetch(url, { method, body, redirect: 'manual', headers: cookie ? { cookie } : {} })
      body = undefined
      for (const field of reply.headers.getSetCookie()) {
        const [pair] = field.split(';', 1)
        const at = pair.indexOf('=')
        this.#cookies.set(pair.slice(0, at), pair.slice(at + 1))
      }
      const page = await reply.text()
      const location = reply.headers.get('location')
      if (location === null && reply.ok) return { url, page }
      if (location === null) throw new Error(`no way on from ${url.origin}${url.pathname}: ${reply.status}`)
      url = new URL(location, url)
    }
    return { url }
  }
}

/** The characters of HTML character references. */
const characters = { '&amp;': '&', '&lt;': '<', '&gt;': '>', '&quot;': '"', '&#x27;': "'" }

/** The fields of the form on a page: those of `formValues`, and hidden ones such as the CSRF token. */
export function fillForm(page, formValues) {
  const fields = new URLSearchParams()
  for (const [tag] of page.matchAll(/<(?:input|button)\b[^>]*>/g)) {
    const attribute = (name) => tag.match(` ${name}="([^"]*)"`)?.[1].replace(/&[^;]*;/g, (found) => characters[found])
    const name = attribute('name')
    if (name in formValues) fields.set(name, formValues[name])
    else if (name && attribute('type') === 'hidden') fields.set(name, attribute('value') ?? '')
  }
  return fields
}

/** The URL at which a new browser stops if it starts here. */
export async function browse(url, isHome) {
  const { url: currentUrl, page } = await new Browser(isHome).open(url)
  if (page !== undefined) throw new Error(`no way on from ${currentUrl.origin}${currentUrl.pathname}`)
  return currentUrl
}

/** The callback URL of an authorization that the server approves immediately. */
export function followToCallback(url, redirectUri) {
  return browse(url, (currentUrl) => currentUrl.href.startsWith(redirectUri))
}

/** A custom HTTP server, for behaviour that no twin has. */
export async function listen(handler) {
  const server = createServer(handler)
  await new Promise((done) => server.listen(0, '127.0.0.1', done))
  after(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${server.address().port}`
}

/** A server known by its token endpoint alone. */
export function serverAt(base) {
  const metadata = { issuer: base, token_endpoint: `${base}/token`, authorization_endpoint: `${base}/authorize` }
  return core.Server.fromMetadata(base, metadata, { transport: 'loopback_http' })
}

/** The error with which a promise is rejected. */
export async function rejection(promise) {
  let value
  try {
    value = await promise
  } catch (error) {
    return error
  }
  throw new Error(`resolved with ${value}`)
}
