// Files that the users of one group share.
import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, chownSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { core } from './helper.mjs'

const { FileStore, MisuseError, SqliteStore } = core
const [GROUP, ANN, BEN] = [6300, 6301, 6302]
const isRoot = process.getuid?.() === 0
const skip = process.platform === 'win32' && 'files have no group there'
const program = fileURLToPath(new URL('member.mjs', import.meta.url))

/** A folder with the group and mode that Kubernetes gives a volume with `fsGroup`. */
function createVolume(t) {
  const root = mkdtempSync(path.join(tmpdir(), 'oauth-core-'))
  t.after(() => rmSync(root, { recursive: true, force: true }))
  chmodSync(root, 0o755)
  const folder = path.join(root, 'volume')
  mkdirSync(folder)
  if (isRoot) chownSync(folder, 0, GROUP)
  chmodSync(folder, 0o2770)
  return folder
}

/** The result of the task in a process of this user; only root can switch users. */
async function asUser(user, task) {
  const child = fork(program, [JSON.stringify({ user, groups: [GROUP], access: 'group', ...task })])
  const ended = once(child, 'exit')
  const [message] = await once(child, 'message')
  // Its open files are closed by then.
  await ended
  return message
}

for (const kind of ['FileStore', 'SqliteStore']) {
  const storePath = (folder) => (kind === 'FileStore' ? folder : path.join(folder, 'grants.db'))

  test(`two users of one group share a grant: ${kind}`, { skip }, async (t) => {
    const folder = createVolume(t)
    const member = async (user, verb, ...args) => {
      const result = await asUser(user, { kind, place: storePath(folder), verb, args })
      assert.equal(result.message, undefined)
      return result.said
    }
    const first = await member(ANN, 'save', 'k', 'of-ann', 0)
    assert.deepEqual(await member(BEN, 'load', 'k'), { version: first, record: 'of-ann' })
    assert.equal(await member(BEN, 'lease', 'k', 'ben', 60_000), null)
    assert.ok(await member(ANN, 'lease', 'k', 'ann', 60_000) > 0)
    const second = await member(BEN, 'save', 'k', 'of-ben', first)
    assert.deepEqual(await member(ANN, 'load', 'k'), { version: second, record: 'of-ben' })
    for (const file of readdirSync(folder)) assert.equal(statSync(path.join(folder, file)).mode & 0o777, 0o660)
    assert.equal(await member(ANN, 'remove', 'k'), true)
    assert.deepEqual(await member(BEN, 'scan'), { keys: [] })
  })

  test(`users outside the group and world-writable folders are rejected: ${kind}`, { skip }, async (t) => {
    const folder = createVolume(t)
    const task = { kind, place: storePath(folder), verb: 'load', args: ['k'] }
    assert.equal((await asUser(ANN, { ...task, access: undefined })).code, 'store.setup')
    if (isRoot) {
      const { code, message } = await asUser(BEN, { ...task, groups: [] })
      assert.equal(code, 'store.setup')
      assert.match(message, /a group that this process is not in/)
    }
    chmodSync(folder, 0o2777)
    assert.throws(() => new core[kind](storePath(folder), { access: 'group' }), (error) => {
      assert.ok(error instanceof MisuseError)
      return /all may write to it/.test(error.message)
    })
  })
}

test('an unknown access mode is rejected', (t) => {
  for (const Store of [FileStore, SqliteStore]) {
    assert.throws(() => new Store(path.join(createVolume(t), 'grants'), { access: 'all' }), TypeError)
  }
})
