// One worker of several that share a grant: a thread, or a process of its own.
import { parentPort, workerData } from 'node:worker_threads'
import { Client, Server } from 'oauth-core'
import { storeAt } from './places.mjs'

const CALLERS = 20

const port = parentPort ?? process
const config = workerData ?? JSON.parse(process.argv[2])
const postToParent = (message) => (parentPort ? parentPort.postMessage(message) : process.send(message))

const { metadata, clientId, clientSecret, place, leaseMs } = config
const server = Server.fromMetadata(metadata.issuer, metadata, { transport: 'loopback_http' })
// Identifies the sending worker to the server.
const headers = { 'x-worker': String(process.pid) }
// A lease lasts longer than two requests, and the others wait that long for a killed worker.
const client = new Client(server, { clientId, clientSecret, headers, timeoutMs: 3000 })
const source = client.source(undefined, { store: storeAt(place), subject: 'ann', leaseMs })

const go = new Promise((resolve) => port.once('message', resolve))
postToParent({ ready: true })
await go
const all = await Promise.all(Array.from({ length: CALLERS }, () => source.token()))
postToParent({ tokens: [...new Set(all.map((tokens) => tokens.accessToken))] })
if (!parentPort) process.disconnect()
