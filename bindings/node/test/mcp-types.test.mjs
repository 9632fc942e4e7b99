// A connection's `fetch` and `authProvider` are what the official TypeScript SDK takes, by its own types.
import { execFile } from 'node:child_process'
import path from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { root } from './helper.mjs'
import { install } from './web-apps.mjs'

const place = path.join(root, 'tests/mcp/typescript')

test('the transport of the MCP SDK accepts the fetch and authProvider of a connection', async () => {
  install(place)
  const tsc = path.join(root, 'bindings/node/node_modules/typescript/bin/tsc')
  const roots = path.join(root, 'bindings/node/node_modules/@types')
  const args = [tsc, '--project', path.join(place, 'types/tsconfig.json'), '--typeRoots', roots]
  await promisify(execFile)(process.execPath, args, { cwd: place }).catch(({ stdout }) => {
    throw new Error(stdout)
  })
})
