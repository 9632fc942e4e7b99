// The README's examples, run unchanged except that the systems are twins.
import assert from 'node:assert/strict'
import { fileURLToPath } from 'node:url'
import { test } from 'node:test'
import { createRunner, examples as found } from './examples.mjs'

const { runExample } = await createRunner()
const examples = found(fileURLToPath(new URL('../README.md', import.meta.url)))

const expectedOutput = [
  [/^200 \{/],
  [/^200\n200$/m],
  [/^200$/m],
  [/^redirect_uri\.not_registered$/m, /^\[ 'clips:read', 'studies:read' \] 3600$/m],
  [/^resource\.no_token_source$/m, /^200 200$/m],
  [/^resource\.rate_limited true\n429$/m],
  [/^1 1$/m],
  [/^200 Tokens \{/, /redacted/],
  [/^true false$/m],
  [/^Hello, stranger 303 \/authorize$/m],
  [/^200 FileStore \{/],
  [/^1$/m],
  [/^200 \[ 'ann' \]$/m],
  [/^hello$/m],
  [/^denied\.invalid_client 401 give_up$/m],
  [/^200$/m],
  [/^Tokens \{/],
  [/^Tokens \{/],
]

test('there is an expected output for each example', () => assert.equal(examples.length, expectedOutput.length))

for (const [index, code] of examples.entries()) {
  const title = code.split('\n').find((line) => line.startsWith('const'))
  test(`example ${index + 1}: ${title}`, async () => {
    const stdout = await runExample(code)
    for (const pattern of expectedOutput[index]) assert.match(stdout, pattern)
  })
}

test('the UserVoice example reports a revoked token', async () => {
  assert.match(await runExample(examples[1], { USERVOICE_TOKEN: 'revoked' }), /^200\nreauthorize$/m)
})
