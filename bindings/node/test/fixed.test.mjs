// A manually created token: used as it is, never renewed, and read again for each use.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { inspect } from 'node:util'
import { core, listen, rejection, twins } from './helper.mjs'

const { DeniedError, MisuseError, Tokens, fixedToken, provider } = core
const twin = (await twins()).uservoice
const origins = provider('uservoice', { variables: { subdomain: 'acme' }, loopback: twin.base })
const suggestions = `${twin.base}/api/v2/admin/suggestions`
const folder = mkdtempSync(path.join(tmpdir(), 'oauth-core-'))
after(() => rmSync(folder, { recursive: true, force: true }))

/** The changes of the twin's counters that `work` causes. */
async function counterChanges(work) {
  const before = await twin.counters()
  await work()
  const now = await twin.counters()
  const added = (name) => now[name] - before[name]
  return { calls: added('api_calls'), refused: added('api_401'), tokens: added('token_requests') }
}

const revoked = (error) => {
  assert.ok(error instanceof DeniedError)
  assert.deepEqual([error.code, error.advice, error.status], ['grant.revoked', 'reauthorize', 401])
  return true
}

test('a token created in the console calls the API without token requests', async () => {
  const source = fixedToken(await twin.consoleToken(), { origins })
  const seen = await counterChanges(async () => {
    assert.equal((await source.fetch(suggestions)).status, 200)
    assert.equal((await source.fetch(new URL(suggestions))).status, 200)
  })
  assert.deepEqual(seen, { calls: 2, refused: 0, tokens: 0 })
})

test('a revoked token is reported, and neither renewed nor sent again', async () => {
  const source = fixedToken(await twin.consoleToken(), { origins })
  await source.fetch(suggestions)
  await twin.expire()
  const seen = await counterChanges(() => assert.rejects(source.fetch(suggestions), revoked))
  assert.deepEqual(seen, { calls: 1, refused: 1, tokens: 0 })
  // A body that streams cannot be sent again anyway: its 401 is the caller's.
  const body = new Blob(['{}']).stream()
  assert.equal((await source.fetch(suggestions, { method: 'POST', body })).status, 401)
})

test('a file is read each time, and a new token in it is tried once', async () => {
  const file = path.join(folder, 'token')
  const source = fixedToken({ file }, { origins })
  const error = await rejection(source.token())
  assert.ok(error instanceof MisuseError)
  assert.equal(error.code, 'token_source.unreadable')
  writeFileSync(file, `  ${await twin.consoleToken()}\n`)
  assert.equal((await source.fetch(suggestions)).status, 200)
  await twin.expire()
  await assert.rejects(source.fetch(suggestions), revoked)
  writeFileSync(file, 'n0body')
  const unchanged = fixedToken({ file }, { origins })
  let refused = await counterChanges(() => assert.rejects(unchanged.fetch(suggestions), revoked))
  assert.deepEqual(refused, { calls: 1, refused: 1, tokens: 0 })
  // The one that is there after the 401 is another one.
  const newToken = await twin.consoleToken()
  const texts = ['n0body', newToken]
  const changing = fixedToken({ callback: () => texts.shift() }, { origins })
  refused = await counterChanges(async () => assert.equal((await changing.fetch(suggestions)).status, 200))
  assert.deepEqual(refused, { calls: 2, refused: 1, tokens: 0 })
  writeFileSync(file, newToken)
  assert.equal((await fixedToken({ file: pathToFileURL(file) }, { origins }).token()).accessToken, newToken)
  assert.equal((await source.fetch(suggestions)).status, 200)
})

test('an environment variable is read each time', async () => {
  const source = fixedToken({ env: 'OAUTH_CORE_TEST_TOKEN' }, { origins })
  delete process.env.OAUTH_CORE_TEST_TOKEN
  const error = await rejection(source.fetch(suggestions))
  assert.equal(error.code, 'token_source.unreadable')
  assert.match(error.message, /OAUTH_CORE_TEST_TOKEN/)
  process.env.OAUTH_CORE_TEST_TOKEN = await twin.consoleToken()
  assert.equal((await source.fetch(suggestions)).status, 200)
})

test('a callback may be asynchronous, and its errors are reported', async () => {
  const token = await twin.consoleToken()
  assert.equal((await fixedToken({ callback: async () => token }, { origins }).fetch(suggestions)).status, 200)
  const locked = fixedToken({ callback: () => { throw new Error('the vault is locked') } })
  assert.equal((await rejection(locked.token())).message, 'the vault is locked')
  await assert.rejects(fixedToken({ callback: () => 7 }).token(), TypeError)
})

test('an expired token is not sent', async () => {
  const expiredToken = fixedToken(await twin.consoleToken(), { origins, expiresAt: new Date(1000) })
  const seen = await counterChanges(() => assert.rejects(expiredToken.fetch(suggestions), { code: 'grant.expired', advice: 'reauthorize' }))
  assert.deepEqual(seen, { calls: 0, refused: 0, tokens: 0 })
  const end = new Date('2100-01-01T00:00:00Z')
  for (const place of ['text', { callback: () => 'text' }]) {
    assert.deepEqual((await fixedToken(place, { expiresAt: end }).token()).expiresAt, end)
  }
})

test('a fixed token is sent to its origins only, and never shown', async () => {
  const source = fixedToken('s3cret-token', { origins })
  await assert.rejects(source.fetch('https://evil.example/'), { code: 'resource.origin_not_allowed' })
  await assert.rejects(fixedToken('s3cret-token').fetch('https://api.example/'), { code: 'resource.origin_not_allowed' })
  await assert.rejects(fixedToken('s3cret-token', { origins: [twin.base] }).fetch(suggestions), { code: 'url.insecure' })
  const api = await listen((request, response) => response.end(request.headers.authorization))
  const plain = fixedToken('s3cret-token', { origins: [api], transport: 'loopback_http' })
  assert.equal(await (await plain.fetch(api)).text(), 'Bearer s3cret-token')
  for (const value of [source, source.api(), await source.token(), Tokens.bearer('s3cret-token')]) {
    assert.ok(!inspect(value, { depth: 9, showHidden: true }).includes('s3cret'))
    assert.ok(!(JSON.stringify(value) ?? '').includes('s3cret'))
  }
  const error = await rejection(source.renew(await source.token()))
  assert.ok(!inspect(error).includes('s3cret'))
})

test('Tokens.bearer creates tokens for tests', () => {
  const tokens = Tokens.bearer('text', { expiresAt: new Date('2030-01-01T00:00:00.900Z') })
  assert.deepEqual([tokens.accessToken, tokens.tokenType, tokens.refreshToken], ['text', 'Bearer', undefined])
  assert.deepEqual(tokens.expiresAt, new Date('2030-01-01T00:00:00Z'))
  assert.equal(Tokens.bearer('text').expiresAt, undefined)
  for (const expiresAt of [1, 'tomorrow', new Date(NaN)]) assert.throws(() => Tokens.bearer('text', { expiresAt }), TypeError)
})

test('an invalid token location is a TypeError', async () => {
  for (const place of [undefined, null, 7, {}, { variable: 'X' }, { env: 'A', file: 'b' }, { env: 7 }, { callback: 'x' }]) {
    assert.throws(() => fixedToken(place), TypeError, inspect(place))
  }
  assert.throws(() => fixedToken('text', { expiresAt: 7 }), TypeError)
  assert.throws(() => fixedToken('text', { transport: 'http' }), TypeError)
  await assert.rejects(fixedToken('text').renew('text'), TypeError)
})
