// Both module systems get the very same objects, so what the other tests show of one they show of both.
import assert from 'node:assert/strict'
import { readFileSync, readdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import { test } from 'node:test'

const require = createRequire(import.meta.url)
const { exports, name } = require('oauth-core/package.json')
const entries = Object.keys(exports).filter((entry) => entry !== './package.json').map((entry) => name + entry.slice(1))

for (const entry of entries) {
  test(`${entry}: require and import return the same objects`, async () => {
    const required = require(entry)
    const { default: whole, ...imported } = await import(entry)
    assert.equal(whole ?? required, required)
    assert.deepEqual(Object.keys(imported).sort(), Object.keys(required).sort())
    for (const [key, value] of Object.entries(imported)) assert.equal(value, required[key], key)
    assert.ok(Object.keys(required).length > 0)
  })
}

test('the package exports all documented entry points', () => {
  for (const entry of ['oauth-core', 'oauth-core/web', 'oauth-core/web/next']) assert.ok(entries.includes(entry), entry)
})

test('each file requires only names that the other file exports', () => {
  const place = path.dirname(require.resolve('oauth-core/package.json'))
  const files = readdirSync(path.join(place, 'js'), { recursive: true }).filter((name) => name.endsWith('.cjs')).map((name) => path.join(place, 'js', name))
  const missing = []
  for (const file of files) {
    for (const [, names, from] of readFileSync(file, 'utf8').matchAll(/const \{([^}]*)\} = require\('(\.[^']+)'\)/g)) {
      const exported = /module\.exports = \{([^]*)\}/.exec(readFileSync(path.join(path.dirname(file), from), 'utf8'))?.[1].match(/\w+/g) ?? []
      const wanted = names.split(',').map((name) => name.split(':')[0].trim()).filter(Boolean)
      missing.push(...wanted.filter((name) => !exported.includes(name)).map((name) => `${path.basename(file)}: ${name} of ${from}`))
    }
  }
  assert.deepEqual(missing, [])
})
