// The README's lines for frameworks compile in TypeScript, with the types of each framework.
import { execFile } from 'node:child_process'
import path from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { root } from './helper.mjs'
import { install } from './web-apps.mjs'

const place = path.join(root, 'tests/web/node')

test('the README examples for Express, Hono and Fastify type-check', async () => {
  install(place)
  const tsc = path.join(root, 'bindings/node/node_modules/typescript/bin/tsc')
  const roots = path.join(root, 'bindings/node/node_modules/@types')
  const args = [tsc, '--project', path.join(place, 'types/tsconfig.json'), '--typeRoots', roots]
  await promisify(execFile)(process.execPath, args, { cwd: place }).catch(({ stdout }) => {
    throw new Error(stdout)
  })
})
