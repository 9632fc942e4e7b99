// Both module systems get the very same objects, so what the other tests show of one they show of both.
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { test } from 'node:test'

const require = createRequire(import.meta.url)
const { exports, name } = require('oauth-core/package.json')
const entries = Object.keys(exports).filter((entry) => entry !== './package.json').map((entry) => name + entry.slice(1))

for (const entry of entries) {
  test(`${entry}: require and import give the same objects`, async () => {
    const required = require(entry)
    const { default: whole, ...imported } = await import(entry)
    assert.equal(whole ?? required, required)
    assert.deepEqual(Object.keys(imported).sort(), Object.keys(required).sort())
    for (const [key, value] of Object.entries(imported)) assert.equal(value, required[key], key)
    assert.ok(Object.keys(required).length > 0)
  })
}

test('every entry point is among them', () => {
  for (const entry of ['oauth-core', 'oauth-core/web', 'oauth-core/web/next']) assert.ok(entries.includes(entry), entry)
})
