// Workers, bundled as wrangler does it and served in workerd.
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { Miniflare } from 'miniflare'

const place = fileURLToPath(new URL('.', import.meta.url))

/** A Worker, bundled as wrangler does it: its modules in one file, and those of WebAssembly beside it. */
export async function bundled(contents) {
  const beside = new Map()
  const wasm = {
    name: 'wasm',
    setup(bundler) {
      bundler.onResolve({ filter: /\.wasm$/ }, ({ path: name, resolveDir }) => {
        const file = path.basename(name)
        beside.set(file, readFileSync(path.join(resolveDir, name)))
        return { path: `./${file}`, external: true }
      })
    },
  }
  const { outputFiles: [script] } = await build({
    stdin: { contents, resolveDir: place }, bundle: true, write: false, format: 'esm', target: 'es2024', platform: 'browser',
    conditions: ['workerd', 'worker', 'browser'], external: ['cloudflare:*'], plugins: [wasm], nodePaths: [path.join(place, 'node_modules')],
  })
  const modules = [...beside].map(([file, contents]) => ({ type: 'CompiledWasm', path: file, contents }))
  return [{ type: 'ESModule', path: 'worker.mjs', contents: script.text }, ...modules]
}

export const chapter = path.join(place, '../../../crates/oauth-guide/chapters/web_node.md')
/** Code of a page, for one runtime. */
export const snippets = (file, kind) => [...readFileSync(file, 'utf8').matchAll(new RegExp(`^\`\`\`${kind}\\n([^]*?)^\`\`\`$`, 'gm'))].map(([, code]) => code)
/** The settings of the guide, which are wrangler's. */
export const wrangler = JSON.parse(snippets(chapter, 'jsonc')[0].replaceAll(/ \/\/.*$/gm, ''))

/** Serves a Worker in workerd. */
export async function served(port, modules, bindings) {
  const objects = wrangler.durable_objects.bindings.map(({ name, class_name: className }) => [name, { className, useSQLite: true }])
  // The bundler numbers names that several modules have.
  const uses = (name) => new RegExp(`\\benv\\d*\\.${name}\\b`).test(modules[0].contents)
  const server = new Miniflare({
    host: '127.0.0.1', port, modules, bindings, compatibilityDate: wrangler.compatibility_date,
    ...(modules[0].contents.includes('StoredRecord') && { durableObjects: Object.fromEntries(objects) }),
    ...(uses('KV') && { kvNamespaces: ['KV'] }),
    ...(uses('DB') && { d1Databases: ['DB'] }),
  })
  await server.ready
  // The guide's migration.
  if (uses('DB')) await (await server.getD1Database('DB')).exec(snippets(chapter, 'sql')[0].replaceAll(/\s+/g, ' ').trim())
  return () => server.dispose()
}
