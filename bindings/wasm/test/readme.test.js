// The README: its example runs as it stands, against a twin, and its sizes are those of this build.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { rows } from './sizes.js'
import { world } from './suite.js'

const us = world()
const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8')

test('the example signs in and calls the API', async () => {
  const [, example] = readme.match(/^```html\n([^]*?)^```$/m)
  const { redirectUri } = us.configs.uservoice
  const page = example
    .replace('YOUR_CLIENT_ID', us.configs.uservoice.clientId)
    .replace("provider: 'uservoice',", `provider: 'uservoice', loopback: '${us.twins.uservoice}',`)
    .replace('https://app.example/callback', redirectUri)
    .replaceAll('https://acme.uservoice.com', us.twins.uservoice)
  const map = '<script type="importmap">{"imports":{"oauth-core-web":"/js/index.js"}}</script>'
  us.made['/callback'] = () => `<!doctype html>${map}${page}`
  const tab = await us.context.newPage()
  await tab.goto(redirectUri)
  await tab.locator('#sign-in').click()
  const answer = tab.locator('#answer', { hasText: 'users' })
  await answer.waitFor()
  assert.match(await answer.textContent(), /"id":/)
})

test('the example with a pasted token calls the API', async () => {
  const [, example] = readme.match(/^```js\n(import { fixedToken[^]*?)^```$/m)
  const code = example.replaceAll('https://acme.uservoice.com', us.twins.uservoice).replace('{ origins', '{ loopback: true, origins')
  const map = '<script type="importmap">{"imports":{"oauth-core-web":"/js/index.js"}}</script>'
  const token = await us.uservoice.consoleToken()
  const script = `<script type="module">const pasted = '${token}'\n${code}</script>`
  us.made['/pasted'] = () => `<!doctype html>${map}<pre id="answer"></pre>${script}`
  const tab = await us.context.newPage()
  await tab.goto(`${us.origin}/pasted`)
  await tab.locator('#answer', { hasText: '200' }).waitFor()
})

test('the sizes are those of a build like this', () => {
  for (const [name, ...sizes] of rows) {
    const row = readme.split('\n').find((line) => line.startsWith(`| ${name} |`))
    assert.ok(row, `no row for ${name}`)
    const stated = row.split('|').slice(2, 5).map((cell) => Number(cell.replaceAll(',', '')))
    stated.forEach((said, at) => {
      // Another compiler makes another module, and a panicking one is larger.
      const slack = name.endsWith('.wasm') ? 0.5 : 0.1
      assert.ok(Math.abs(said - sizes[at]) <= slack * said, `${name}: ${said} stated, ${sizes[at]} built`)
    })
  }
})
