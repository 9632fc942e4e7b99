// The cost of one client_credentials grant over a `fetch` that resolves immediately.
import { SCOPES, requireSameResults, measureCpu, printFigure, inTurns, medians } from './harness.mjs'
import { run } from '../../../bindings/node/js/index.mjs'
import { OVER_FETCH, ourClient } from './sides.mjs'

const BASE = 'http://127.0.0.1:1'
const BATCH = 2000
const headers = { 'content-type': 'application/json' }
let issued = 0
let lastRequest

/** Another token each time. */
function reply() {
  issued += 1
  return `{"access_token":"2YotnFZFEjr1zCsicMWpAA-${issued}","token_type":"Bearer","expires_in":3600}`
}

/** Resolves immediately. */
async function stub(url, { method, headers: sent, body }) {
  if (lastRequest) {
    const form = [...new URLSearchParams(await new Response(body).text())].sort()
    lastRequest.push({ url: String(url), method, form, authorization: new Headers(sent).get('authorization') })
  }
  return new Response(reply(), { headers })
}

const grants = {}
const requests = {}
for (const [name, make] of Object.entries(OVER_FETCH)) {
  grants[name] = await make(BASE, stub)
  lastRequest = []
  for (const scope of SCOPES) await grants[name](scope)
  requests[name] = lastRequest
  lastRequest = undefined
}
requireSameResults('client_credentials', requests)

const batch = (grant) => async () => {
  const cpu = await measureCpu(async () => {
    for (let n = 0; n < BATCH; n += 1) await grant(SCOPES[n % SCOPES.length])
  })
  return cpu / BATCH
}
const measured = async (grants) => {
  const runs = Object.entries(grants).map(([name, grant]) => [name, batch(grant)])
  return medians(await inTurns(Object.fromEntries(runs), 21))
}
const taken = await measured(grants)
printFigure('Node.js: client_credentials over a stub transport', 'us CPU', taken, { budget: taken.oauth4webapi })

// The parts of our cost: each of these includes the one before.
const client = await ourClient(BASE, stub)
const exchange = (scope) => client.exchange.clientCredentials({ scope })
const plain = async () => ({ status: 200, headers: new Map(Object.entries(headers)), body: [Buffer.from(reply())] })
const whole = async () => ({ status: 200, headers: Object.entries(headers), body: reply() })
const overSend = await ourClient(BASE, undefined, whole)
const parts = {
  'the machine alone': (scope) => {
    const machine = exchange(scope)
    machine.begin()
    return machine.reply({ status: 200, headers: Object.entries(headers), body: Buffer.from(reply()) })
  },
  'run, with the body at hand': (scope) => run(exchange(scope), { fetch: plain }),
  'run, over a Response': (scope) => run(exchange(scope), { fetch: stub }),
  'a token source, over a send': (scope) => overSend.clientCredentials({ scope }).token(),
  'a token source, over a Response': (scope) => client.clientCredentials({ scope }).token(),
}
printFigure('Node.js: our grant over a stub, from the inside out', 'us CPU', await measured(parts))
