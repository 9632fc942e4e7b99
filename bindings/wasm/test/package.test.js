// The package as it is published: its files, its types, its names.

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { startWorld } from './suite.js'

const harness = startWorld()
const packageRoot = fileURLToPath(new URL('..', import.meta.url))
const run = (command, ...args) => execFileSync(command, args, { cwd: packageRoot, encoding: 'utf8' })

test('the package contains only the files that a page needs', () => {
  const [{ files }] = JSON.parse(run('npm', 'pack', '--dry-run', '--json', '--ignore-scripts'))
  const names = files.map(({ path }) => path).sort()
  const modules = readdirSync(`${packageRoot}js`).map((name) => `js/${name}`)
  const built = ['pkg/oauth_core_web.js', 'pkg/oauth_core_web_bg.wasm']
  assert.deepEqual(names, ['LICENSE-APACHE', 'LICENSE-MIT', 'README.md', 'package.json', ...modules, ...built].sort())
})

test('every imported module is in the package', () => {
  for (const name of readdirSync(`${packageRoot}js`).filter((name) => name.endsWith('.js'))) {
    const text = readFileSync(`${packageRoot}js/${name}`, 'utf8')
    for (const [, path] of text.matchAll(/from '([^']+)'/g)) {
      const isFramework = `${path}.js` === name
      assert.ok(isFramework || existsSync(new URL(path, `file://${packageRoot}js/`)), `${name} imports ${path}`)
    }
  }
})

test('the type declarations compile', () => {
  run('node_modules/.bin/tsc', '--project', 'test/tsconfig.json')
})

test('the type declarations list the exports of the module', async () => {
  const page = await harness.page()
  const exported = (await page.evaluate(() => Object.keys(web))).sort()
  const types = readFileSync(`${packageRoot}js/index.d.ts`, 'utf8')
  const declared = [...types.matchAll(/^export (?:const|class|function) (\w+)/gm)].map(([, name]) => name)
  assert.deepEqual(exported, declared.sort())
})

test('random values come only from WebCrypto', () => {
  const glue = readFileSync(`${packageRoot}pkg/oauth_core_web.js`, 'utf8')
  assert.match(glue, /crypto\.getRandomValues/)
  assert.doesNotMatch(glue, /randomFillSync|Math\.random|Date\.now/)
})

test('the known settings and options match the type declarations', async () => {
  const { CONFIG, SIGN_IN } = await import('../js/setting-names.js')
  const [types, ops] = ['index.d.ts', 'ops.d.ts'].map((name) => readFileSync(`${packageRoot}js/${name}`, 'utf8'))
  const members = (text, name) => {
    const [, body] = text.match(new RegExp(`^export interface ${name} [^\\n]*\\{\\n(.*?)^\\}`, 'ms')) ?? []
    return [...body.matchAll(/^  (\w+)\??:/gm)].map(([, member]) => member)
  }
  assert.deepEqual([...CONFIG].sort(), [...members(types, 'Config'), ...members(types, 'LimitOptions')].sort())
  const [, head, ownMembers] = types.match(/interface SignInOptions extends Omit<(.*?)> \{\n(.*?)^\}/ms)
  const omitted = [...head.matchAll(/'(\w+)'/g)].map(([, name]) => name)
  const askedForMembers = members(ops, 'AskedFor').filter((name) => !omitted.includes(name))
  const more = [...ownMembers.matchAll(/^  (\w+)\??:/gm)].map(([, name]) => name)
  assert.deepEqual([...SIGN_IN].sort(), [...askedForMembers, ...more].sort())
})
