// Every code of tests/errors.json, and its error class.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import { test } from 'node:test'
import { core, root, serverAt } from './helper.mjs'

const { Client, DeniedError, LostError, MalformedError, MisuseError, OAuthError, UntrustedError, provider } = core
const classes = { denied: DeniedError, malformed: MalformedError, untrusted: UntrustedError, lost: LostError, misuse: MisuseError }
const records = JSON.parse(readFileSync(path.join(root, 'tests/errors.json'), 'utf8'))
const require = createRequire(import.meta.url)
const installed = path.dirname(require.resolve('oauth-core'))
// Converts errors of the addon; not part of the public API.
const { errorFromNative } = require(path.join(installed, 'errors.cjs'))

const client = () => new Client(serverAt('https://as.example'), { clientId: 'id', clientSecret: 's' })
function begun() {
  const exchange = client().exchange.clientCredentials()
  exchange.begin()
  return exchange
}
function thrown(call) {
  try {
    call()
  } catch (error) {
    return error
  }
  return assert.fail('nothing was thrown')
}

test('the type declarations list the codes of the error table', () => {
  const types = readFileSync(path.join(installed, 'error-codes.d.cts'), 'utf8')
  for (const kind of Object.keys(classes)) {
    const [, union] = types.match(new RegExp(`type ${kind}Code =\\n((?:  \\| .+\\n)+)`, 'i'))
    const named = [...union.matchAll(/'(.+)'/g)].map(([, code]) => code)
    assert.deepEqual(named, records.filter((record) => record.kind === kind).map(({ code }) => code))
  }
})

test('every code is an instance of its error class', () => {
  for (const record of records) {
    const error = errorFromNative(new Error(`oauth-core:${JSON.stringify(record)}`))
    assert.equal(error.constructor, classes[record.kind], record.code)
    assert.ok(error instanceof OAuthError && error instanceof Error)
    const { code, kind, advice, message, name } = error
    assert.deepEqual({ code, kind, advice, message }, Object.fromEntries(
      ['code', 'kind', 'advice', 'message'].map((member) => [member, record[member]])))
    assert.equal(name.toLowerCase(), `${record.kind}error`)
    assert.equal(error.hint, record.javascript_hint ?? undefined, record.code)
  }
})

test('error responses of the server become DeniedError with their code', () => {
  // Errors of APIs are tested with requests to one: limits.test.mjs, fixed.test.mjs.
  const refusals = records.filter(({ code }) => code.startsWith('denied.'))
  assert.ok(refusals.length > 20)
  for (const record of refusals) {
    const headers = [['content-type', 'application/json']]
    if (record.code === 'denied.http_challenge') headers.push(['www-authenticate', 'Basic'])
    const body = Buffer.from(JSON.stringify(record.error === null ? {} : { error: record.error }))
    const error = thrown(() => begun().reply({ status: record.status, headers, body }))
    assert.equal(error.constructor, DeniedError)
    assert.deepEqual([error.code, error.advice, error.message], [record.code, record.advice, record.message])
    assert.deepEqual([error.status, error.error ?? null, error.url], [record.status, record.error, 'https://as.example/token'])
  }
})

test('each error class is thrown for its kind of failure', () => {
  const html = { status: 200, headers: [['content-type', 'text/html']], body: Buffer.from('<p>') }
  const callback = 'https://app.example/cb'
  const { flow } = client().authorize({ redirectUri: callback })
  const raised = [
    thrown(() => begun().reply(html)),
    thrown(() => client().exchange.redeem(flow, `${callback}?code=c&state=of-another-flow`)),
    thrown(() => begun().lost(new Error('connection reset'))),
    thrown(() => provider('no such provider')),
  ]
  const kinds = Object.fromEntries(records.map(({ code, kind }) => [code, kind]))
  assert.deepEqual(raised.map((error) => error.constructor), [MalformedError, UntrustedError, LostError, MisuseError])
  assert.deepEqual(raised.map(({ code }) => kinds[code]), ['malformed', 'untrusted', 'lost', 'misuse'])
})
