// The same applications with Keycloak, another author's server: `KEYCLOAK=where/it/is node at-keycloak.mjs [NAME]`. One of each
// language. Prints what held, and then `N passed, N failed`.
import { chromium } from 'playwright-core'
import { atKeycloak, inFrames, person } from './checks.mjs'
import { frameworks } from './frameworks.mjs'
import { keycloak } from './keycloak.mjs'
import { build, closeAll, install, start } from './world.mjs'

const only = process.argv[2]?.toLowerCase()
/** Keycloak sends no logout for offline sessions. */
const env = { HELLO_SCOPE: 'openid read' }
const selected = frameworks
  .filter(({ name }) => ['axum', 'FastAPI', 'Express'].includes(name))
  .filter(({ name }) => only === undefined || name.toLowerCase().includes(only))
  .map((framework) => ({ ...framework, env: { ...framework.env, ...env } }))
let passed = 0
let failed = 0

/** Checks of one application that is told by this channel that people have signed out. */
async function checked(browser, framework, provider, channel, checks) {
  const shop = { ...(await start(framework, provider)), provider, framework }
  const context = { shop, ann: await person(browser, shop), somebody: () => person(browser, shop) }
  for (const [name, check] of Object.entries(checks)) {
    try {
      await check(context)
      passed += 1
      console.log(`ok ${framework.name}, ${channel}: ${name}`)
    } catch (error) {
      failed += 1
      console.log(`not ok ${framework.name}, ${channel}: ${name}\n${error.stack}\n${shop.told()}`)
    }
  }
  await context.ann.context.close()
}

process.on('exit', closeAll)
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(1))

for (const folder of new Set(selected.filter(({ installed }) => installed).map(({ cwd }) => cwd))) install(folder)
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking', '--no-first-run'],
})
const provider = await keycloak(process.env.KEYCLOAK)
for (const framework of selected) {
  if (framework.build) await build(framework)
  await checked(browser, framework, provider('back channel'), 'back channel', atKeycloak)
  await checked(browser, framework, provider('front channel'), 'front channel', inFrames)
}
await browser.close()
console.log(`${passed} passed, ${failed} failed`)
process.exit(failed === 0 && passed > 0 ? 0 : 1)
