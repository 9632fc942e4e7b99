// The stack of an error leads to the code that made the call.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { core } from './helper.mjs'

const {
  AccessTokenVerifier, Client, Grants, LostError, MemoryStore, ResourceConnection, Server, Tokens, discover, fixedToken,
} = core
const base = 'http://127.0.0.1:1'
const transport = 'loopback_http'
const server = Server.fromMetadata(base, {
  issuer: base, token_endpoint: `${base}/token`, revocation_endpoint: `${base}/revoke`, jwks_uri: `${base}/jwks`,
}, { transport })

const refused = async () => { throw Object.assign(new Error('refused'), { code: 'ECONNREFUSED' }) }
const pendingForever = () => new Promise(() => {})
const createClient = (options) => new Client(server, { clientId: 'id', clientSecret: 'secret', ...options })
const [native, sending, hanging] = [{}, { send: refused }, { send: pendingForever, timeoutMs: 200 }].map(createClient)
const source = native.clientCredentials({ origins: [base] })
const grants = new Grants(native, new MemoryStore())
const verifier = new AccessTokenVerifier(server, { audience: 'api' })
const encodeJson = (value) => Buffer.from(JSON.stringify(value)).toString('base64url')
const accessToken = `${encodeJson({ alg: 'RS256', typ: 'at+jwt', kid: 'a' })}.${encodeJson({ iss: base })}.AAAA`
const down = { load: refused, save: refused, lease: refused }

const calls = {
  'source.token': () => source.token(),
  'source.token, again': () => source.token(),
  'source.token with a limit': () => native.clientCredentials().token({ timeoutMs: 20_000 }),
  'source.token after its limit': () => hanging.clientCredentials().token({ timeoutMs: 20 }),
  'source.token over a send function': () => sending.clientCredentials().token(),
  'source.token without a login': () => native.source({ store: new MemoryStore(), subject: 'ann' }).token(),
  'source.token with a store that is down': () => native.source({ store: down, subject: 'ann' }).token(),
  'source.renew': () => source.renew(Tokens.bearer('x')),
  'source.fetch': () => source.fetch(`${base}/x`),
  'source.fetch to another origin': () => source.fetch('https://elsewhere.example/'),
  'source.logIn': () => native.source({ store: down, subject: 'ann' }).logIn(Tokens.bearer('x')),
  'api.fetch': () => source.api().fetch(`${base}/x`),
  'a source of a pool': () => grants.get(undefined).token(),
  'drain': async () => {
    const own = hanging.clientCredentials()
    own.token().catch(() => {})
    await own.drain({ timeoutMs: 20 })
  },
  'fixedToken': () => fixedToken({ file: '/nowhere' }).token(),
  'ResourceConnection.token': () => new ResourceConnection(`${base}/x`, { clientName: 'Notes', transport }).token(),
  'ResourceConnection.fetch': () => new ResourceConnection(`${base}/x`, { clientName: 'Notes', transport }).fetch(`${base}/x`),
  'discover': () => discover(base, { transport }),
  'an operation': () => native.revoke({ token: 'x' }),
  'an operation over a send function': () => sending.revoke({ token: 'x' }),
  'a verification that fetches keys': () => verifier.verify(accessToken),
  'a verification': () => verifier.verify('x'),
}

for (const [name, call] of Object.entries(calls)) {
  test(`the stack of an error leads to the caller: ${name}`, async () => {
    const callerOfThis = async () => { await call() }
    const error = await callerOfThis().then(() => assert.fail('resolved'), (error) => error)
    assert.match(error.stack, /callerOfThis/)
    assert.ok(error.stack.startsWith(`${error.name}: ${error.message}\n`), error.stack)
  })
}

test('callers of one renewal get an error each, with the same members and their own stack', async () => {
  const shared = createClient({ send: async () => ({ status: 400, headers: [['content-type', 'application/json']], body: '{"error":"invalid_client","more":1}' }) })
    .clientCredentials()
  const anna = async () => { await shared.token() }
  const ben = async () => { await shared.token() }
  const errors = await Promise.all([anna, ben].map((call) => call().then(() => assert.fail('resolved'), (error) => error)))
  assert.match(errors[0].stack, /anna/)
  assert.match(errors[1].stack, /ben/)
  assert.doesNotMatch(errors[0].stack, /ben/)
  assert.deepEqual({ ...errors[0] }, { ...errors[1] })
  assert.equal(errors[0].code, 'denied.invalid_client')
  assert.equal(errors[0].extra.more, 1)
})

test('an error of a function of the application is thrown unchanged', async () => {
  const failure = await native.revoke({ token: 'x' }).catch((error) => error)
  assert.ok(failure instanceof LostError)
  const send = async () => ({ status: 200, headers: [['content-type', 'application/json']], body: '{"access_token":"a","token_type":"Bearer"}' })
  const own = createClient({ send }).clientCredentials({ onTokens() { throw failure } })
  assert.equal(await own.token().catch((error) => error), failure)
})

test('an uncaught rejection shows the line of the program', () => {
  const program = `
    import { Client, Server } from ${JSON.stringify(import.meta.resolve('oauth-core'))}
    const issuer = '${base}'
    const server = Server.fromMetadata(issuer, { issuer, token_endpoint: issuer + '/token' }, { transport: 'loopback_http' })
    const source = new Client(server, { clientId: 'a', clientSecret: 'b' }).clientCredentials()
    async function main() {
      await source.token()
    }
    await main()
  `
  const { status, stderr } = spawnSync(process.execPath, ['--input-type=module', '--eval', program], { encoding: 'utf8' })
  assert.equal(status, 1)
  assert.match(stderr, /LostError: [\s\S]* at async main \(file:.*:7:/)
})
