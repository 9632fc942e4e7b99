// A token endpoint in its own process, so that its CPU time is not measured. It prints its port;
// `GET /seen` returns the connections and requests since the last such request.
import { createServer } from 'node:http'

let issued = 0
let seen = { connections: 0, asked: {} }

const server = createServer((request, response) => {
  if (request.url === '/seen') {
    response.setHeader('connection', 'close')
    response.end(JSON.stringify(seen))
    seen = { connections: 0, asked: {} }
    return
  }
  const chunks = []
  request.on('data', (chunk) => chunks.push(chunk))
  request.on('end', () => {
    issued += 1
    const form = [...new URLSearchParams(Buffer.concat(chunks).toString())].sort()
    const requestKey = JSON.stringify([request.method, request.url, request.headers.authorization, form])
    seen.asked[requestKey] = (seen.asked[requestKey] ?? 0) + 1
    const body = JSON.stringify({ access_token: `2YotnFZFEjr1zCsicMWpAA-${issued}`, token_type: 'Bearer', expires_in: 3600 })
    response.writeHead(200, { 'content-type': 'application/json' }).end(body)
  })
})
server.on('connection', () => { seen.connections += 1 })
server.listen(0, '127.0.0.1', 4096, () => process.send(server.address().port))
process.on('disconnect', () => process.exit())
