// The JavaScript of the guide for Node.js, chapter by chapter.
import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import { createRunner, examples, expectedOutput } from './examples.mjs'
import { root } from './helper.mjs'

const { runExample } = await createRunner()
const chapters = path.join(root, 'crates/oauth-guide/chapters')
const found = readdirSync(chapters).sort().flatMap((name) =>
  examples(path.join(chapters, name)).map((code, index) => ({ name: `${path.parse(name).name} ${index}`, code })))

test('the guide has examples', () => assert.ok(found.length > 8))

for (const { name, code } of found) {
  test(`${name} prints the documented output`, async () => {
    const outputLines = (await runExample(code)).trimEnd().split('\n')
    assert.deepEqual(outputLines, expectedOutput(code))
  })
}
