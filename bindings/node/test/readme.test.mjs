// The README's examples run as they stand, against twins instead of the live systems.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, test } from 'node:test'
import { promisify } from 'node:util'
import { twins } from './helper.mjs'

const { socios } = await twins()
const { clientId, clientSecret } = await socios.client()
const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8')
const examples = [...readme.matchAll(/^```js\n([^]*?)^```$/gm)].map(([, code]) => code)

const visit = `const visit = async (url) => (await fetch(url, { redirect: 'manual' })).headers.get('location')`
const said = [
  [/^200 \{/],
  [/^200 Tokens \{/, /redacted/],
  [/^200 FileStore \{/],
  [/^1$/m],
  [/^denied\.invalid_client 401 give_up$/m],
  [/^Tokens \{/],
  [/^Tokens \{/],
]

const folder = mkdtempSync(path.join(tmpdir(), 'oauth-core-'))
after(() => rmSync(folder, { recursive: true, force: true }))

test('there are as many examples as answers', () => assert.equal(examples.length, said.length))

for (const [index, code] of examples.entries()) {
  const title = code.split('\n').find((line) => line.startsWith('const'))
  test(`example ${index + 1}: ${title}`, async () => {
    const script = code
      .replaceAll("provider('socios')", `provider('socios', { loopback: '${socios.base}' })`)
      .replaceAll('https://api-public.socios.com', socios.base)
      .replaceAll("'grants'", JSON.stringify(path.join(folder, String(index))))
    const env = { ...process.env, SOCIOS_KEY: clientId, SOCIOS_SECRET: clientSecret }
    const args = ['--input-type=module', '-e', `${visit}\n${script}`]
    const { stdout } = await promisify(execFile)(process.execPath, args, { env })
    for (const pattern of said[index]) assert.match(stdout, pattern)
    assert.ok(!stdout.includes(clientSecret))
  })
}
