// The examples of the documentation, run unchanged except that the servers are twins.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after } from 'node:test'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { mcpServer, root, twins } from './helper.mjs'

/** The JavaScript examples of a page. Code in other languages is not run. */
export function examples(page) {
  return [...readFileSync(page, 'utf8').matchAll(/^```js\n([^]*?)^```$/gm)].map(([, code]) => code)
}

/** The output that an example promises: the comment after each `console.log`. */
export function expectedOutput(code) {
  return [...code.matchAll(/^ *console\.log\(.*\) \/\/ (.+)$/gm)].map(([, text]) => text)
}

const visit = `const visit = async (url) => (await fetch(url, { redirect: 'manual' })).headers.get('location')`
/** The options that permit a third-party server on this machine. */
const onThisMachine = "transport: 'loopback_http', network: new (await import('oauth-core')).Network({ addresses: 'any' }),"
/** The URL of a module of the tests' tools. */
const resolveTool = (name) => pathToFileURL(createRequire(path.join(root, 'tests/mcp/typescript/package.json')).resolve(name))
/** A headless browser, opened as the system would open it. */
const opener = `#!${process.execPath}
async function visit(here) {
  while (here) {
    const location = (await fetch(here, { redirect: 'manual' })).headers.get('location')
    here = location && new URL(location, here).href
  }
}
visit(process.argv[2])
`

/** Starts the twins, and returns a function that runs an example against them and returns its output. */
export async function createRunner() {
  const { generic, uservoice, usertesting, 'usertesting-apps': portal, socios, fapi } = await twins()
  const systems = { uservoice, usertesting, 'usertesting-apps': portal, socios }
  const twinClients = { generic: await generic.client(), fapi: await fapi.client() }
  for (const [name, twin] of Object.entries(systems)) twinClients[name] = await twin.client()
  const app = twinClients['usertesting-apps']
  const folder = mkdtempSync(path.join(tmpdir(), 'oauth-core-'))
  after(() => rmSync(folder, { recursive: true, force: true }))
  const bin = path.join(folder, 'bin')
  mkdirSync(bin)
  writeFileSync(path.join(bin, 'xdg-open'), opener)
  chmodSync(path.join(bin, 'xdg-open'), 0o755)
  const env = {
    USERVOICE_KEY: twinClients.uservoice.clientId,
    USERVOICE_SECRET: twinClients.uservoice.clientSecret,
    USERVOICE_TOKEN: await uservoice.consoleToken(),
    USERTESTING_KEY: twinClients.usertesting.clientId,
    USERTESTING_SECRET: twinClients.usertesting.clientSecret,
    USERTESTING_APP: app.clientId,
    USERTESTING_APP_SECRET: app.clientSecret,
    USERTESTING_GUID: app.issuer.split('/').at(-1),
    SOCIOS_KEY: twinClients.socios.clientId,
    SOCIOS_SECRET: twinClients.socios.clientSecret,
    BANK_CLIENT_ID: twinClients.fapi.clientId,
    BANK_KEY: twinClients.fapi.clientKey,
    ISSUER: generic.base,
    CLIENT_ID: twinClients.generic.clientId,
    CLIENT_SECRET: twinClients.generic.clientSecret,
    // With a display, the system opens URLs with the opener above.
    DISPLAY: ':1',
  }
  let runs = 0

  /** Runs an example unchanged, except for the URLs of the systems. */
  async function runExample(code, more = {}) {
    const storePath = path.join(folder, String((runs += 1)))
    let script = code
      .replaceAll(/'grants(\.db)?'/g, JSON.stringify(storePath))
      .replaceAll("'acme.toml'", JSON.stringify(path.join(root, 'crates/oauth-guide/chapters/acme.toml')))
    for (const [name, { base }] of Object.entries(systems)) {
      script = script
        .replaceAll(`provider('${name}')`, `provider('${name}', { loopback: '${base}' })`)
        .replaceAll(`provider('${name}', { variables`, `provider('${name}', { loopback: '${base}', variables`)
    }
    script = script
      .replaceAll('https://acme.uservoice.com', uservoice.base)
      .replaceAll('https://api.use2.usertesting.com', usertesting.base)
      .replaceAll('https://api-public.socios.com', socios.base)
      .replaceAll("discover('https://bank.example')", `discover('${fapi.base}', { transport: 'loopback_http' })`)
      .replaceAll('https://bank.example/api', `${fapi.base}/api`)
      .replaceAll("origins: ['https://bank.example']", `origins: ['${fapi.base}']`)
      .replaceAll(/providerFile\(file, \{/g, `providerFile(file, { loopback: '${generic.base}',`)
    if (/mcp/i.test(script)) {
      // One server per example: it ends with the test that started it.
      const mcp = await mcpServer('typescript')
      more = { ...more, MCP_URL: mcp.url }
      script = script
        .replaceAll(/'@modelcontextprotocol\/[^']+'/g, (name) => JSON.stringify(resolveTool(name.slice(1, -1))))
        .replaceAll("'https://mcp.example/mcp', {", `'${mcp.url}', { ${onThisMachine}`)
    }
    const args = ['--input-type=module', '-e', `${visit}\n${script}`]
    const paths = [bin, process.env.PATH].join(path.delimiter)
    const options = { env: { ...process.env, ...env, PATH: paths, ...more } }
    const { stdout } = await promisify(execFile)(process.execPath, args, options)
    for (const [name, value] of Object.entries(env)) {
      assert.ok(!/SECRET|TOKEN/.test(name) || !stdout.includes(value), name)
    }
    return stdout
  }
  return { runExample }
}
