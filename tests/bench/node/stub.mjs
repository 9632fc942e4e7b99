// What one client_credentials grant costs over a `fetch` that answers at once.
import { SCOPES, agree, cpuOf, figure, inTurns, medians } from './harness.mjs'
import { OVER_FETCH } from './sides.mjs'

const BATCH = 2000
const headers = { 'content-type': 'application/json' }
let issued = 0
let heard

/** Answers at once, with another token each time. */
async function stub(url, { method, headers: sent, body }) {
  issued += 1
  if (heard) {
    const form = [...new URLSearchParams(await new Response(body).text())].sort()
    heard.push({ url: String(url), method, form, authorization: new Headers(sent).get('authorization') })
  }
  return new Response(`{"access_token":"2YotnFZFEjr1zCsicMWpAA-${issued}","token_type":"Bearer","expires_in":3600}`, { headers })
}

const grants = {}
const requests = {}
for (const [name, make] of Object.entries(OVER_FETCH)) {
  grants[name] = await make('http://127.0.0.1:1', stub)
  heard = []
  for (const scope of SCOPES) await grants[name](scope)
  requests[name] = heard
  heard = undefined
}
agree('client_credentials', requests)

const batch = (grant) => async () => {
  const cpu = await cpuOf(async () => {
    for (let n = 0; n < BATCH; n += 1) await grant(SCOPES[n % SCOPES.length])
  })
  return cpu / BATCH
}
const runs = Object.fromEntries(Object.entries(grants).map(([name, grant]) => [name, batch(grant)]))
figure('Node.js: client_credentials over a stub transport', 'us CPU', medians(await inTurns(runs, 21)), {
  budget: 15,
  pace: ['plainest code', 13],
})
