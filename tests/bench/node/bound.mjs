// What a cached token that is bound to a key costs a `fetch` more than a cached bearer token (RFC 9449). Beside it,
// the bare signature of the proof, made in the same place: in a request, what a signature reads is no longer in the
// caches, and it takes longer than one after the other. The transport answers at once.
import { generateKeyPairSync, sign } from 'node:crypto'
import { OURS, measureCpu, printFigure, inTurns, medians } from './harness.mjs'
import { Client, DpopKey, Server } from '../../../bindings/node/js/index.mjs'

const ISSUER = 'https://as.example'
const API = 'https://api.example'
const RAW = 'node:crypto, the signature alone, in a request'
const HOT = 'the same, one after the other'
const BEARER = 'a bearer token'
const BATCH = 200
const urls = Array.from({ length: BATCH }, (_, n) => `${API}/v1/items/${n}?page=${n * 7}&per_page=50`)

/** A client of the API, and its first request. */
function attached(options) {
  const events = []
  const fetch = async (url, { headers }) => {
    const sent = new Headers(headers)
    if (String(url).startsWith(ISSUER)) {
      const token_type = sent.has('dpop') ? 'DPoP' : 'Bearer'
      return Response.json({ access_token: '2YotnFZFEjr1zCsicMWpAA', token_type, expires_in: 3600 })
    }
    if (events.length === 0) events.push(sent)
    return new Response('{}')
  }
  const server = Server.fromMetadata(ISSUER, { issuer: ISSUER, token_endpoint: `${ISSUER}/token` })
  const client = new Client(server, { clientId: 'c', clientSecret: 's3cr3t', fetch, ...options })
  return { source: client.clientCredentials({ origins: [API] }), heard: events }
}

const bound = attached({ dpopKey: await DpopKey.generate() })
const plain = attached()
const signing = attached()
const { privateKey: key } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
/** As long as what a proof signs. */
const input = Buffer.alloc(520, 'x')
const signature = () => sign('sha256', input, { key, dsaEncoding: 'ieee-p1363' })

const batch = (work) => async () => {
  const cpu = await measureCpu(async () => {
    for (const url of urls) await work(url)
  })
  return cpu / BATCH
}
const sides = {
  [OURS]: batch((url) => bound.source.fetch(url)),
  [RAW]: batch((url) => {
    signature()
    return signing.source.fetch(url)
  }),
  [BEARER]: batch((url) => plain.source.fetch(url)),
  [HOT]: batch(signature),
}
const results = await inTurns(sides, 41)
const [[boundSent], [plainSent]] = [bound.heard, plain.heard]
const kinds = [boundSent, plainSent].map((sent) => [sent.get('authorization').split(' ')[0], sent.has('dpop')])
if (JSON.stringify(kinds) !== '[["DPoP",true],["Bearer",false]]') throw new Error(JSON.stringify(kinds))
const over = (side) => results[side].map((value, n) => value - results[BEARER][n])
const taken = medians({ [OURS]: over(OURS), [RAW]: over(RAW), [HOT]: results[HOT] })
const what = 'Node.js: attach a cached token that is bound to a key, fetch, ES256'
printFigure(what, 'us CPU more than a bearer token', taken, { budget: taken[RAW] })
