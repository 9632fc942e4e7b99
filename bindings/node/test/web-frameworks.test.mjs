// Every check of a sign-in against every framework, over sockets.
import { createRequire } from 'node:module'
import { after, test } from 'node:test'
import { asCommonJs, twins } from './helper.mjs'
import { apps, serve } from './web-apps.mjs'
import { checks, opener } from './web-checks.mjs'

const web = asCommonJs ? createRequire(import.meta.url)('oauth-core/web') : await import('oauth-core/web')

const { generic: twin } = await twins()
await twin.claim('name', 'Ann')
const table = Object.fromEntries(checks.map(([what]) => [what, {}]))

for (const [framework, make] of Object.entries(apps)) {
  const open = await opener(twin, web, make, serve)
  for (const [what, check] of checks) {
    test(`${what}: ${framework}`, async () => {
      table[what][framework] = 'no'
      await check({ open, twin })
      table[what][framework] = 'yes'
    })
  }
}

// What the documentation says of frameworks is what this prints.
if (process.env.OAUTH_CORE_TABLE) after(() => console.table(table))
