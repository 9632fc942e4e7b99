// 1,000 parallel client_credentials grants against one server on loopback, cold: the native
// transport beside a bounded pool of npm's undici and Node's own fetch. Each run is a process of its
// own; the sides take turns. `node bench/transport.mjs [rounds]`
import { spawnSync } from 'node:child_process'
import { createServer } from 'node:http'
import { fileURLToPath } from 'node:url'

const GRANTS = 1000
const sides = ['native', 'undici request, 16', 'undici request, 64', 'undici fetch, 16', 'global fetch']

async function grants(side, base) {
  const { Client, Server } = await import('oauth-core')
  let fetch
  if (side === 'global fetch') fetch = globalThis.fetch
  const [, connections] = side.split(', ')
  if (connections) {
    const undici = await import('undici')
    const dispatcher = new undici.Pool(base, { connections: Number(connections) })
    // The leaner of its two ways, as much of a `fetch` as a driver needs.
    const request = async (url, { method, headers, body, signal }) => {
      const options = { path: new URL(url).pathname, method, headers: Object.fromEntries(headers), body, signal }
      const reply = await dispatcher.request(options)
      return { status: reply.statusCode, headers: new Map(Object.entries(reply.headers)), body: reply.body }
    }
    fetch = side.startsWith('undici request') ? request : (url, init) => undici.fetch(url, { ...init, dispatcher })
  }
  const metadata = { issuer: base, token_endpoint: `${base}/token` }
  const server = Server.fromMetadata(base, metadata, { transport: 'loopback_http' })
  const client = new Client(server, { clientId: 'id', clientSecret: 'secret', fetch })
  const cpu = process.cpuUsage()
  const start = performance.now()
  const all = await Promise.all(Array.from({ length: GRANTS }, () => client.clientCredentials().token()))
  const wall = performance.now() - start
  const { user, system } = process.cpuUsage(cpu)
  if (new Set(all.map((tokens) => tokens.accessToken)).size !== GRANTS) throw new Error('tokens are missing')
  console.log(JSON.stringify({ wall, cpu: (user + system) / 1000, rss: process.memoryUsage().rss / 2 ** 20 }))
  process.exit(0)
}

/** The server, in a process of its own so that its time counts for nobody. */
function serve() {
  let issued = 0
  let open = 0
  let peak = 0
  const server = createServer((request, response) => {
    if (request.url === '/peak') {
      response.end(String(peak))
      peak = open
      return
    }
    request.resume().on('end', () => {
      issued += 1
      const body = JSON.stringify({ access_token: `token-${issued}`, token_type: 'Bearer', expires_in: 3600 })
      response.writeHead(200, { 'content-type': 'application/json' }).end(body)
    })
  })
  server.on('connection', (socket) => {
    open += 1
    peak = Math.max(peak, open)
    socket.on('close', () => { open -= 1 })
  })
  server.listen(0, '127.0.0.1', 4096, () => process.send(server.address().port))
}

async function main(rounds) {
  const { fork } = await import('node:child_process')
  const here = fileURLToPath(import.meta.url)
  const child = fork(here, ['serve'])
  const base = `http://127.0.0.1:${await new Promise((done) => child.once('message', done))}`
  const runs = Object.fromEntries(sides.map((side) => [side, []]))
  for (let round = 0; round < rounds; round += 1) {
    for (const side of sides) {
      await (await fetch(`${base}/peak`)).text()
      const { stdout, stderr } = spawnSync(process.execPath, [here, side, base], { encoding: 'utf8' })
      if (!stdout) throw new Error(stderr)
      const peak = Number(await (await fetch(`${base}/peak`)).text())
      runs[side].push({ ...JSON.parse(stdout), peak })
    }
  }
  child.kill()
  const median = (list) => list.sort((a, b) => a - b)[list.length >> 1]
  const rows = sides.map((side) => {
    const of = (name) => Math.round(median(runs[side].map((run) => run[name])))
    return { side, 'wall ms': of('wall'), 'cpu ms': of('cpu'), 'rss MiB': of('rss'), connections: of('peak') }
  })
  console.table(rows)
}

const [side = '7', base] = process.argv.slice(2)
if (side === 'serve') serve()
else if (base) await grants(side, base)
else await main(Number(side))
