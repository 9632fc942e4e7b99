// A DPoP proof in a page (RFC 9449): WebCrypto signs it with a non-extractable key. In headless Chromium.
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { OURS, medians, printFigure } from '../node/harness.mjs'
import { browser, pages } from '../../../bindings/wasm/test/world.js'

const RAW = 'WebCrypto, the signature alone'
const BATCH = 200
const ROUNDS = 21

const peer = await readFile(fileURLToPath(import.meta.resolve('dpop')), 'utf8')
const served = await pages()
const chromium = await browser()
try {
  const page = await chromium.newPage()
  await page.goto(`${served.origin}/README.md`)
  const results = await page.evaluate(measure, { peer, OURS, RAW, BATCH, ROUNDS })
  const { 'without a proof': without, ...others } = results
  const ours = results[OURS].map((value, n) => value - without[n])
  printFigure('browser: a DPoP proof made, ES256', 'us wall', medians({ ...others, [OURS]: ours }))
} finally {
  await chromium.close()
  served.close()
}

/** Runs in the page. The cost of a proof: a request without one is subtracted from ours. */
async function measure({ peer, OURS, RAW, BATCH, ROUNDS }) {
  const [{ ready }, { prepare }, { refresh }, { resumeWithWebCrypto }, dpop] = await Promise.all([
    import('/js/wasm.js'),
    import('/js/client-from-config.js'),
    import('/js/ops.js'),
    import('/js/webcrypto.js'),
    import(URL.createObjectURL(new Blob([peer], { type: 'text/javascript' }))),
  ])
  const wasm = await ready()
  const issuer = 'https://as.example'
  const endpoint = `${issuer}/token`
  const pair = await crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign'])
  const config = {
    issuer,
    metadata: { issuer, authorization_endpoint: `${issuer}/authorize`, token_endpoint: endpoint },
    clientId: 'c',
    redirectUri: 'https://app.example/callback',
  }
  const bound = await prepare({ ...config, dpop: pair })
  const plain = await prepare(config)
  const stored = {
    version: 1, issuer, client_id: 'c', access_token: 'a', received_at: 0, expires_in: 1, scope: '', refresh_token: 'r',
    refresh_scope: null, id_token: null,
  }
  const tokens = wasm.Tokens.fromJson(JSON.stringify(stored))
  const sent = async (prepared) => {
    const machine = refresh(prepared.client, { tokens })
    let step = machine.begin(Date.now() / 1000)
    while (step.kind === 'sign') step = await resumeWithWebCrypto(machine, step, prepared.config.sign)
    if (step.kind !== 'send') throw new Error(`want a request, got ${step.kind}`)
    return step
  }
  // Each makes a proof of the same kind, with the same key.
  const proofs = [(await sent(bound)).headers.find((_, at, all) => all[at - 1] === 'dpop'), await dpop.generateProof(pair, endpoint, 'POST')]
  const parts = proofs.map((proof) => proof.split('.').slice(0, 2).map((part) => JSON.parse(atob(part.replaceAll('-', '+').replaceAll('_', '/')))))
  const [ours, theirs] = parts.map(([{ typ, alg, jwk: { x, y } }, { htm, htu }]) => JSON.stringify([typ, alg, x, y, htm, htu]))
  if (ours !== theirs) throw new Error(`${ours} is not ${theirs}`)
  const input = new TextEncoder().encode(proofs[0].slice(0, proofs[0].lastIndexOf('.')))
  const sides = {
    [OURS]: () => sent(bound),
    'without a proof': () => sent(plain),
    dpop: () => dpop.generateProof(pair, endpoint, 'POST'),
    [RAW]: () => crypto.subtle.sign({ name: 'ECDSA', hash: 'SHA-256' }, pair.privateKey, input),
  }
  const results = Object.fromEntries(Object.keys(sides).map((name) => [name, []]))
  // Alternating; the first round is not counted.
  for (let turn = 0; turn <= ROUNDS; turn += 1) {
    for (const [name, side] of Object.entries(sides)) {
      const start = performance.now()
      for (let n = 0; n < BATCH; n += 1) await side()
      if (turn > 0) results[name].push(((performance.now() - start) * 1000) / BATCH)
    }
  }
  return results
}
