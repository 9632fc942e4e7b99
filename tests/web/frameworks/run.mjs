// Hello world in every framework, started as its users start it, with Chromium before it: `node run.mjs [NAME]`. Prints what
// held, by framework and check, and then `N passed, N failed`.
import { chromium } from 'playwright-core'
import { acrossSites, checks as acrossChecks } from './across-sites.mjs'
import { atOidcProvider, atTwin, person } from './checks.mjs'
import { frameworks } from './frameworks.mjs'
import { behindNginx, checks as nginxChecks } from './nginx.mjs'
import { build, closeAll, each, install, oidcProvider, start, twin } from './world.mjs'

const only = process.argv[2]?.toLowerCase()
const selected = frameworks.filter(({ name }) => only === undefined || name.toLowerCase().includes(only))

const began = performance.now()
const seconds = (since) => `${((performance.now() - since) / 1000).toFixed(1)} s`
const failures = []
const rows = new Map(selected.map(({ name }) => [name, {}]))
/** The results of the applications behind nginx. */
const proxied = new Map()
/** The results with a provider at another site. */
const across = new Map()
let passed = 0
let failed = 0

/** How long a check may take, on a machine that is busy with others. */
const PATIENCE = 60_000

function withTimeout(running, times = 1) {
  let timer
  const late = new Promise((_, fail) => {
    timer = setTimeout(() => fail(new Error('takes too long')), times * PATIENCE)
  })
  return Promise.race([running, late]).finally(() => clearTimeout(timer))
}

/** Checks of one application at one provider, one after the other: what each says is in a column of its own. */
async function checked(browser, framework, provider, checks, column) {
  const row = rows.get(framework.name)
  for (const name of Object.keys(checks)) row[column(name)] = 'not run'
  const shop = { ...(await start(framework, provider)), provider, framework }
  const context = { shop, ann: await person(browser, shop), somebody: () => person(browser, shop) }
  for (const [name, check] of Object.entries(checks)) {
    const since = performance.now()
    try {
      await withTimeout(check(context), check.times)
      if (process.env.SLOW) console.log(framework.name, column(name), seconds(since))
      row[column(name)] = 'yes'
    } catch (error) {
      row[column(name)] = 'NO'
      failures.push(`${framework.name}, ${column(name)}: ${error.stack}\n${shop.told()}`)
    }
  }
  await context.ann.context.close()
  // Others need the memory, and the time.
  shop.end()
  provider.end?.()
}

const columnAtOidcProvider = (name) => `${name} (oidc-provider)`

async function check(browser, framework, provider) {
  const since = performance.now()
  try {
    if (framework.build) await build(framework)
    const pages = performance.now()
    const row = rows.get(framework.name)
    for (const name of Object.keys(atOidcProvider)) if (framework.isAtTwinOnly) row[columnAtOidcProvider(name)] = '-'
    await Promise.all([
      twin().then((twin) => checked(browser, framework, twin, atTwin, (name) => name)),
      framework.isAtTwinOnly || checked(browser, framework, provider(), atOidcProvider, columnAtOidcProvider),
    ])
    console.log(`# ${framework.name}: ${framework.build ? `built in ${((pages - since) / 1000).toFixed(1)} s, ` : ''}${seconds(pages)}`)
  } catch (error) {
    failures.push(`${framework.name}: ${error.stack}\n${error.stdout ?? ''}${error.stderr ?? ''}`)
  }
}

function table(what, columns, rows) {
  const width = Math.max(what.length, ...[...rows.keys()].map((name) => name.length))
  console.log(`\n| ${what.padEnd(width)} | ${columns.join(' | ')} |\n| ${'-'.repeat(width)} |${columns.map((name) => ` ${'-'.repeat(name.length)} |`).join('')}`)
  for (const [name, row] of rows) {
    console.log(`| ${name.padEnd(width)} | ${columns.map((column) => (row[column] ?? 'not run').padEnd(column.length)).join(' | ')} |`)
  }
  const cells = [...rows.values()].flatMap((row) => columns.map((column) => row[column])).filter((cell) => cell !== '-')
  passed += cells.filter((cell) => cell === 'yes').length
  failed += cells.filter((cell) => cell !== 'yes').length
}

process.on('exit', closeAll)
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(1))

try {
  for (const folder of new Set(selected.filter(({ installed }) => installed).map(({ cwd, packages }) => packages ?? cwd))) install(folder)
  const browser = await chromium.launch({
    // Without windows: most of the processor's time went into profiles, and into processes for pages that are there for a second.
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium-headless-shell',
    args: [
      '--no-sandbox', '--disable-gpu', '--disable-background-networking', '--no-first-run',
      '--renderer-process-limit=1', '--process-per-site', '--no-zygote', '--in-process-gpu', '--disable-software-rasterizer', '--disable-site-isolation-trials',
    ],
  })
  console.log(`# chromium ${browser.version()}, node ${process.version}`)
  const provider = await oidcProvider()
  await Promise.all([
    each(selected, (framework) => check(browser, framework, provider)),
    // These checks need no browser.
    behindNginx(only).then((behind) => {
      failures.push(...behind.failures)
      behind.rows.forEach(([name, row]) => proxied.set(name, row))
      console.log(`# behind nginx: ${seconds(began)}`)
    }),
  ])
  const before = performance.now()
  const beyond = await acrossSites(browser, only)
  failures.push(...beyond.failures)
  beyond.rows.forEach(([name, row]) => across.set(name, row))
  console.log(`# across sites: ${seconds(before)}`)
  await browser.close()
} catch (error) {
  failures.push(error.stack)
}
for (const failure of failures) console.log(`\n${failure}`)
table('framework', [...Object.keys(atTwin), ...Object.keys(atOidcProvider).map(columnAtOidcProvider)], rows)
if (across.size > 0) table('across sites', Object.keys(acrossChecks), across)
if (proxied.size > 0) table('behind nginx', Object.keys(nginxChecks), proxied)
console.log(`Without a name behind it a check is at the twin. "-": Next.js in development is at the twin alone. A page has six connections to a host: its 50 fetches share them.`)
console.log(`# ${seconds(began)}`)
console.log(`${passed} passed, ${failed} failed`)
process.exit(failed + failures.length === 0 && passed > 0 ? 0 : 1)
