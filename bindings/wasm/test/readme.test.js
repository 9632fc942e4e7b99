// The README: its example runs as it stands, against a twin, and its sizes are those of this build.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { withTestServers, extractPages, serve } from './examples.js'
import { rows } from './sizes.js'
import { startWorld } from './suite.js'

const harness = startWorld()
const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8')

test('the README example signs in and calls the API', async () => {
  const [example] = extractPages(readme)
  serve(harness, '/callback', withTestServers(harness, example))
  const tab = await harness.context.newPage()
  await tab.goto(harness.configs.uservoice.redirectUri)
  await tab.locator('#sign-in').click()
  const outputElement = tab.locator('#answer', { hasText: 'users' })
  await outputElement.waitFor()
  assert.match(await outputElement.textContent(), /"id":/)
})

test('the README example for React signs in and out', async () => {
  const [, example] = extractPages(readme)
  for (const path of ['/account', '/callback', '/']) serve(harness, path, withTestServers(harness, example))
  const tab = await harness.context.newPage()
  await tab.goto(`${harness.origin}/account`)
  await tab.locator('#sign-in').click()
  await tab.locator('#sign-out', { hasText: 'user-' }).click()
  await tab.waitForURL(`${harness.origin}/`)
  await tab.locator('#sign-in').waitFor()
})

test('the README example with a pasted token calls the API', async () => {
  const [, example] = readme.match(/^```js\n(import { fixedToken[^]*?)^```$/m)
  const code = withTestServers(harness, example).replace('{ origins', '{ loopback: true, origins')
  const token = await harness.uservoice.consoleToken()
  const script = `<script type="module">const pasted = '${token}'\n${code}</script>`
  serve(harness, '/pasted', `<pre id="answer"></pre>${script}`)
  const tab = await harness.context.newPage()
  await tab.goto(`${harness.origin}/pasted`)
  await tab.locator('#answer', { hasText: '200' }).waitFor()
})

test('the sizes in the README match this build', () => {
  for (const [name, ...sizes] of rows) {
    const row = readme.split('\n').find((line) => line.startsWith(`| ${name} |`))
    assert.ok(row, `no row for ${name}`)
    const stated = row.split('|').slice(2, 5).map((cell) => Number(cell.replaceAll(',', '')))
    stated.forEach((statedSize, at) => {
      // The module size depends on the compiler and the panic strategy.
      const slack = name.endsWith('.wasm') ? 0.5 : 0.1
      assert.ok(Math.abs(statedSize - sizes[at]) <= slack * statedSize, `${name}: ${statedSize} stated, ${sizes[at]} built`)
    })
  }
})
