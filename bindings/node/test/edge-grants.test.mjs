// Grants in edge runtimes: the same JavaScript, over WebAssembly.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import path from 'node:path'
import { createRequire } from 'node:module'
import { test } from 'node:test'

const main = path.dirname(createRequire(import.meta.url).resolve('oauth-core/package.json'))

const setup = `
  import { readFileSync } from 'node:fs'
  import { initSync } from ${JSON.stringify(`${main}/edge/oauth_core_edge.mjs`)}

  initSync({ module: new WebAssembly.Module(readFileSync(${JSON.stringify(`${main}/edge/oauth_core_edge_bg.wasm`)})) })
  const { Client, Grants, Server, Tokens } = await import(${JSON.stringify(`${main}/js/index.mjs`)})
  const issuer = 'https://as.example'
  const login = (acr) => Tokens.deserialize(JSON.stringify({
    version: 1, issuer, client_id: 'app', received_at: Math.floor(Date.now() / 1000), access_token: 'at-' + acr, expires_in: 600,
    scope: 'read', refresh_token: 'rt-' + acr, refresh_scope: null, id_token: null,
    answered: acr && { step_up: { acr_values: [acr] }, at: 1 },
  }))
  const records = new Map()
  const store = {
    load: async (key) => records.get(key),
    async save(key, record, version) {
      if ((records.get(key)?.version ?? 0) !== version) return undefined
      records.set(key, { version: version + 1, record })
      return version + 1
    },
    lease: async () => 0,
    scan: async () => ({ keys: [...records].filter(([, { record }]) => record !== '').map(([key]) => key) }),
  }
`

const grantsProgram = `${setup}
  const server = Server.fromMetadata(issuer, { issuer, token_endpoint: issuer + '/token' })
  const grants = new Grants(new Client(server, { clientId: 'app', clientSecret: 'secret' }), store)
  await grants.logIn('ann', login())
  for (let number = 0; number < 9; number += 1) await grants.logIn('ann', login('acr-' + number))
  const token = await grants.get('ann', { stepUp: { acr_values: ['acr-8'] } }).token()
  const stored = (await grants.list()).grants.length
  await grants.logOut('ann')
  process.stdout.write(JSON.stringify({ token: token.accessToken, stored, left: (await store.scan()).keys }))
`

const sourceProgram = `${setup}
  const revoked = []
  const fetch = async (url, { body }) => {
    revoked.push(new URLSearchParams(body).get('token'))
    return new Response('')
  }
  const server = Server.fromMetadata(issuer, { issuer, token_endpoint: issuer + '/token', revocation_endpoint: issuer + '/revoke' })
  const client = new Client(server, { clientId: 'app', clientSecret: 'secret', fetch })
  const codes = []
  const source = client.source({ store, subject: 'ann' })
  await source.logIn(login('stored'))
  for (const one of [source, client.source(login('local'))]) {
    await one.token()
    await one.logOut()
    await one.token().catch(({ code }) => codes.push(code))
  }
  process.stdout.write(JSON.stringify({ revoked, codes, left: (await store.scan()).keys }))
`

/** A logout that `onTokens` does not wait for. */
const scheduledProgram = (before) => `${setup}
  ${before}
  const fetch = async () => Response.json({ access_token: 'new', token_type: 'Bearer', expires_in: 600 })
  const server = Server.fromMetadata(issuer, { issuer, token_endpoint: issuer + '/token' })
  const client = new Client(server, { clientId: 'app', clientSecret: 'secret', fetch })
  let loggedOut
  const source = client.clientCredentials({ onTokens: () => { loggedOut = source.logOut().then(() => 'logged out') } })
  await source.token()
  process.stdout.write(JSON.stringify([await loggedOut]))
`

/** What a logout in `onTokens` throws, where the runtime has `AsyncLocalStorage` and where not: then before any `await`. */
const callbackProgram = (before) => `${setup}
  ${before}
  const fetch = async () => Response.json({ access_token: 'new', token_type: 'Bearer', expires_in: 600 })
  const server = Server.fromMetadata(issuer, { issuer, token_endpoint: issuer + '/token' })
  const client = new Client(server, { clientId: 'app', clientSecret: 'secret', fetch })
  const codes = []
  const source = client.clientCredentials({ onTokens: () => source.logOut().catch(({ code }) => codes.push(code)) })
  await source.token()
  await source.logOut()
  process.stdout.write(JSON.stringify(codes))
`

function output(program) {
  const text = execFileSync(process.execPath, ['--conditions=edge-light', '--input-type=module', '--eval', program], { timeout: 60_000 })
  return JSON.parse(text)
}

test('step-up tokens are stored separately from the ordinary login in edge runtimes', () => {
  assert.deepEqual(output(grantsProgram), { token: 'at-acr-8', stored: 9, left: [] })
})

test('a source logs out in edge runtimes, with a store and without one', () => {
  const code = 'grant.no_refresh_token'
  assert.deepEqual(output(sourceProgram), { revoked: ['rt-stored', 'rt-local'], codes: [code, code], left: [] })
})

test('a logout for which onTokens waits is refused in edge runtimes, with AsyncLocalStorage and without it', () => {
  for (const before of ['', 'process.getBuiltinModule = undefined']) assert.deepEqual(output(callbackProgram(before)), ['misuse.deadlock'])
  for (const before of ['', 'process.getBuiltinModule = undefined']) assert.deepEqual(output(scheduledProgram(before)), ['logged out'])
})

test('a site in an edge runtime forgets the cookies and the form of a request once its visit has begun', () => {
  const program = `
    import { createRequire } from 'node:module'
    const { NativeSite } = createRequire('/')(${JSON.stringify(`${main}/js/edge/visit.cjs`)})
    const begun = []
    const visit = { begin: () => ({ kind: 'end', told: {} }), free() {} }
    const site = new NativeSite({ visit: (request) => (begun.push(request?.target ?? 'nothing'), visit) }, {})
    site.beginner()(0, 'open\\nPOST\\nlocalhost\\n/page\\ncookie\\na=b', new Uint8Array(1))
    await site.proceed('1')
    await site.proceed('2')
    process.stdout.write(JSON.stringify(begun))
  `
  assert.deepEqual(output(program), ['/page', 'nothing'])
})
