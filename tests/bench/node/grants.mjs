// 1,000 parallel client_credentials grants against one server on loopback, cold.
// `grants.mjs SIDE BASE` is one process that makes them, and prints its costs.
import { execFile, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { SCOPES, inTurns, medians, printFigure, requireSameResults } from './harness.mjs'
import { OVER_SOCKETS } from './sides.mjs'

const GRANTS = 1000
const FLOOR = 'node:http, 64 sockets'
const scriptPath = fileURLToPath(import.meta.url)

async function grants(side, base) {
  const grant = await OVER_SOCKETS[side](base)
  const cpu = process.cpuUsage()
  const start = performance.now()
  const tokens = await Promise.all(Array.from({ length: GRANTS }, (_, n) => grant(SCOPES[n % SCOPES.length])))
  const wall = performance.now() - start
  const { user, system } = process.cpuUsage(cpu)
  if (new Set(tokens).size !== GRANTS) throw new Error('tokens are missing')
  console.log(JSON.stringify({ wall, cpu: (user + system) / 1000, memory: process.memoryUsage().rss / 2 ** 20 }))
  // Open connections of libraries are not waited for.
  process.exit(0)
}

async function main() {
  const server = fork(fileURLToPath(new URL('server.mjs', import.meta.url)))
  const base = `http://127.0.0.1:${await new Promise((done) => server.once('message', done))}`
  const seen = async () => (await fetch(`${base}/seen`)).json()
  const requests = {}
  const run = (side) => async () => {
    await seen()
    const { stdout } = await promisify(execFile)(process.execPath, [scriptPath, side, base])
    const { connections, asked: requestCount } = await seen()
    requests[side] = Object.entries(requestCount).sort()
    // One connection is that of this request.
    return { ...JSON.parse(stdout), connections: connections - 1 }
  }
  const results = await inTurns(Object.fromEntries(Object.keys(OVER_SOCKETS).map((side) => [side, run(side)])), 7)
  server.disconnect()
  requireSameResults('client_credentials', requests)
  const name = `Node.js: ${GRANTS.toLocaleString('en')} parallel client_credentials grants, cold`
  printFigure(name, 'ms wall', medians(results, 'wall'), { budget: 260, pace: [FLOOR, 239] })
  printFigure(name, 'ms CPU of the client', medians(results, 'cpu'), { budget: 210, pace: [FLOOR, 198] })
  printFigure(name, 'connections opened', medians(results, 'connections'))
  printFigure(name, 'MiB in use at the end', medians(results, 'memory'))
}

const [side, base] = process.argv.slice(2)
if (base) await grants(side, base)
else await main()
