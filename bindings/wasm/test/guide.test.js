// The pages of the guide, chapter by chapter, in a browser.

import assert from 'node:assert/strict'
import { readFileSync, readdirSync } from 'node:fs'
import { test } from 'node:test'
import { withTestServers, extractPages, expectedOutput, serve } from './examples.js'
import { startWorld } from './suite.js'

const harness = startWorld()
const chapters = new URL('../../../crates/oauth-guide/chapters/', import.meta.url)
const found = readdirSync(chapters)
  .filter((name) => name.endsWith('.md'))
  .flatMap((name) => extractPages(readFileSync(new URL(name, chapters), 'utf8')).map((page) => ({ name, page })))

test('the guide has pages', () => assert.ok(found.length >= 3))

for (const { name, page } of found) {
  test(`the page of ${name} prints the documented output`, async () => {
    const expected = expectedOutput(page)
    assert.ok(expected.length > 0)
    serve(harness, '/callback', withTestServers(harness, page))
    const tab = await harness.context.newPage()
    const consoleLines = []
    // What the browser itself logs, such as a status of 401, is no `log`.
    tab.on('console', (message) => message.type() === 'log' && consoleLines.push(message.text()))
    const failed = new Promise((_, fail) => tab.on('pageerror', fail))
    failed.catch(() => {})
    await tab.goto(harness.configs.generic.redirectUri)
    if (/['"]sign-in['"]/.test(page)) await Promise.race([tab.locator('#sign-in').click(), failed])
    await Promise.race([tab.locator('#answer', { hasText: /./ }).waitFor(), failed])
    assert.deepEqual(consoleLines, expected)
  })
}
