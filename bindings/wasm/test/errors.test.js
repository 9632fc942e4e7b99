// Every code of tests/errors.json, and its error class.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import * as errors from '../js/errors.js'
import { hintFor } from '../js/hints.js'
import { handle, startWorld, toCallback } from './suite.js'

const harness = startWorld()
const read = (path) => readFileSync(new URL(path, import.meta.url), 'utf8')
const records = JSON.parse(read('../../../tests/errors.json'))
const classes = {
  denied: errors.DeniedError,
  malformed: errors.MalformedError,
  untrusted: errors.UntrustedError,
  lost: errors.LostError,
  misuse: errors.MisuseError,
}

test('the type declarations list the codes of the error table', () => {
  const types = read('../js/error-codes.d.ts')
  for (const kind of Object.keys(classes)) {
    const [, union] = types.match(new RegExp(`type ${kind}Code =\\n((?:  \\| .+\\n)+)`, 'i'))
    const named = [...union.matchAll(/'(.+)'/g)].map(([, code]) => code)
    assert.deepEqual(named, records.filter((record) => record.kind === kind).map(({ code }) => code))
  }
})

test('every code is an instance of its error class', () => {
  for (const record of records) {
    const error = errors.errorFromJson(JSON.stringify(record))
    assert.equal(error.constructor, classes[record.kind], record.code)
    assert.ok(error instanceof errors.OAuthError && error instanceof Error)
    assert.equal(error.name.toLowerCase(), `${record.kind}error`)
    for (const member of ['code', 'kind', 'advice', 'message']) assert.equal(error[member], record[member])
    assert.equal(hintFor(error.code), record.javascript_hint ?? undefined, record.code)
  }
})

test('the module throws each error class for its kind of failure', async () => {
  const { generic } = harness.configs
  const tokenError = async (response) => {
    const page = await harness.page()
    await toCallback(harness, page, generic)
    await page.route('**/token', response)
    return handle(page, generic)
  }
  const json = (status, body) => (route) =>
    route.fulfill({ status, json: body, headers: { 'access-control-allow-origin': '*' } })
  const stranger = await harness.page('/callback?code=stolen&state=made-up')
  const errors = {
    denied: await tokenError(json(400, { error: 'invalid_grant' })),
    malformed: await tokenError(json(200, {})),
    untrusted: await handle(stranger, generic),
    lost: await tokenError((route) => route.abort()),
    misuse: await handle(stranger, { ...generic, clientSecret: 'secret' }),
  }
  const kinds = Object.fromEntries(records.map(({ code, kind }) => [code, kind]))
  for (const [kind, { name, code }] of Object.entries(errors)) {
    assert.equal(name, classes[kind].name, code)
    assert.equal(kinds[code], kind, code)
  }
})
