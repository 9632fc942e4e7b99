// The demo page: what a visitor clicks, and what the drawing shows.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { browser, pages, twins } from './world.js'

let served, server, chromium, context

before(async () => {
  const made = { '/demo/config.json': () => JSON.stringify({ server: server.generic }) }
  served = await pages('demo/index.html', made)
  server = await twins(served.origin)
  chromium = await browser()
  context = await chromium.newContext({ viewport: { width: 1100, height: 900 } })
})
after(async () => {
  await chromium?.close()
  server?.close()
  served?.close()
})

const steps = (page) => page.locator('#sequence summary b').allTextContents()
const click = (page, name) => page.locator(`[data-do=${name}]`).click()
const waitForStatus = (page, text) => page.locator('#status', { hasText: text }).waitFor()

test('the demo draws a redirect, an API call, a renewal and the sign-out', async () => {
  const page = await context.newPage()
  const errors = []
  page.on('pageerror', (error) => errors.push(error.message))
  page.on('console', (message) => message.type() === 'error' && errors.push(message.text()))
  await page.goto(`${served.origin}/demo/`)
  await waitForStatus(page, 'Signed out')
  await click(page, 'redirect')
  await waitForStatus(page, 'Signed in, scope read')
  assert.equal(page.url(), `${served.origin}/callback`)
  await click(page, 'api')
  await waitForStatus(page, 'answered 200')
  await click(page, 'expire')
  await waitForStatus(page, 'forgotten')
  await click(page, 'api')
  await waitForStatus(page, 'answered 200')
  const arrows = (await steps(page)).map((step) => step.replace(/, \d+ bytes/, ''))
  const login = ['go to /authorize', 'come back with a code', 'POST /token', '200']
  const call = ['GET /api/echo', '200']
  const renewal = ['GET /api/echo', '401', 'the token is dead: renew it once', 'POST /token', '200']
  const sequence = arrows.slice(arrows.indexOf('go to /authorize'))
  assert.deepEqual(sequence, [...login, ...call, ...renewal, ...call])
  if (process.env.SCREENSHOT) await page.screenshot({ path: process.env.SCREENSHOT, fullPage: true })
  await click(page, 'out')
  await waitForStatus(page, 'Signed out')
  const shown = await page.locator('body').innerText()
  assert.ok(shown.includes('•••'))
  // The 401 is the browser's own line in the console.
  assert.deepEqual(errors.filter((error) => !error.includes('401')), [])
  await page.close()
})

test('the demo draws a popup sign-in, and a second tab shares the session', async () => {
  const page = await context.newPage()
  await page.goto(`${served.origin}/demo/`)
  await waitForStatus(page, 'Signed out')
  await click(page, 'popup')
  await waitForStatus(page, 'Signed in, scope read')
  const opened = context.waitForEvent('page')
  await click(page, 'tab')
  const second = await opened
  await waitForStatus(second, 'Signed in, scope read')
  await click(second, 'out')
  await page.waitForFunction(() => document.querySelector('#sequence').innerText.includes('the session is over'))
  await page.close()
  await second.close()
})
