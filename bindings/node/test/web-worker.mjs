// Workers, where what bundles and serves them is installed.
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import { root } from './helper.mjs'

export const place = path.join(root, 'tests/web/edge')
export const { bundled, chapter, served, snippets, wrangler } = await import(pathToFileURL(path.join(place, 'workerd.mjs')))
