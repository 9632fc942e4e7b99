// The README's examples run as they stand, against twins instead of the live systems.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, test } from 'node:test'
import { promisify } from 'node:util'
import { twins } from './helper.mjs'

const { uservoice, usertesting, 'usertesting-apps': portal, socios } = await twins()
/** What stands for each system, and the credentials there. */
const systems = { uservoice, usertesting, 'usertesting-apps': portal, socios }
const known = {}
for (const [name, twin] of Object.entries(systems)) known[name] = await twin.client()
const app = known['usertesting-apps']
const env = {
  USERVOICE_KEY: known.uservoice.clientId,
  USERVOICE_SECRET: known.uservoice.clientSecret,
  USERVOICE_TOKEN: await uservoice.consoleToken(),
  USERTESTING_KEY: known.usertesting.clientId,
  USERTESTING_SECRET: known.usertesting.clientSecret,
  USERTESTING_APP: app.clientId,
  USERTESTING_APP_SECRET: app.clientSecret,
  USERTESTING_GUID: app.issuer.split('/').at(-1),
  SOCIOS_KEY: known.socios.clientId,
  SOCIOS_SECRET: known.socios.clientSecret,
}
const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8')
const examples = [...readme.matchAll(/^```js\n([^]*?)^```$/gm)].map(([, code]) => code)

const visit = `const visit = async (url) => (await fetch(url, { redirect: 'manual' })).headers.get('location')`
const said = [
  [/^200 \{/],
  [/^200\n200$/m],
  [/^200$/m],
  [/^redirect_uri\.not_registered$/m, /^\[ 'clips:read', 'studies:read' \] 3600$/m],
  [/^resource\.owner_missing$/m, /^200 200$/m],
  [/^resource\.rate_limited true\n429$/m],
  [/^1 1$/m],
  [/^200 Tokens \{/, /redacted/],
  [/^true false$/m],
  [/^200 FileStore \{/],
  [/^1$/m],
  [/^200 \[ 'ann' \]$/m],
  [/^denied\.invalid_client 401 give_up$/m],
  [/^200$/m],
  [/^Tokens \{/],
  [/^Tokens \{/],
]

const folder = mkdtempSync(path.join(tmpdir(), 'oauth-core-'))
after(() => rmSync(folder, { recursive: true, force: true }))

test('there are as many examples as answers', () => assert.equal(examples.length, said.length))

/** An example as it stands, but for where the systems are. */
async function ran(index, more = {}) {
  let script = examples[index].replaceAll(/'grants(\.db)?'/g, JSON.stringify(path.join(folder, String(index))))
  for (const [name, { base }] of Object.entries(systems)) {
    script = script
      .replaceAll(`provider('${name}')`, `provider('${name}', { loopback: '${base}' })`)
      .replaceAll(`provider('${name}', { variables`, `provider('${name}', { loopback: '${base}', variables`)
  }
  script = script
    .replaceAll('https://acme.uservoice.com', uservoice.base)
    .replaceAll('https://api.use2.usertesting.com', usertesting.base)
    .replaceAll('https://api-public.socios.com', socios.base)
  const args = ['--input-type=module', '-e', `${visit}\n${script}`]
  const { stdout } = await promisify(execFile)(process.execPath, args, { env: { ...process.env, ...env, ...more } })
  for (const [name, value] of Object.entries(env)) assert.ok(!/SECRET|TOKEN/.test(name) || !stdout.includes(value), name)
  return stdout
}

for (const [index, code] of examples.entries()) {
  const title = code.split('\n').find((line) => line.startsWith('const'))
  test(`example ${index + 1}: ${title}`, async () => {
    const stdout = await ran(index)
    for (const pattern of said[index]) assert.match(stdout, pattern)
  })
}

test('the story of UserVoice after a revocation', async () => {
  assert.match(await ran(1, { USERVOICE_TOKEN: 'revoked' }), /^200\nreauthorize$/m)
})
