// Two thousand DPoP proofs, judged by this package and by jose, which shares no line with it and has no notion of requests:
// method, URL, token and key are compared here, with the URL parser of Node.js. What one takes and the other refuses has
// to be of a kind that is listed here, with its reason.
import assert from 'node:assert/strict'
import { createHash, generateKeyPairSync, sign } from 'node:crypto'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { core, root } from './helper.mjs'

// A development tool of the tests, not a dependency of the package.
const tools = createRequire(join(root, 'bindings/node/package.json'))
const { EmbeddedJWK, calculateJwkThumbprint, decodeProtectedHeader, jwtVerify } = await import(pathToFileURL(tools.resolve('jose')))
const { AccessTokenVerifier, Client, OAuthError, Server } = core

const PROOFS = 2000
const NOW = 1_750_000_000
const METHOD = 'GET'
const TARGET = 'https://api.example/orders'
const TOKEN = 'opaque'
const ALGS = ['ES256', 'ES384', 'RS256', 'PS256', 'Ed25519']

/** The reasons why we refuse proofs that jose accepts, by our error code and the flaw of the proof. */
const STRICTER = {
  'dpop_proof.malformed twice in the header': 'names are unique (RFC 7515 section 4)',
  'dpop_proof.malformed twice in the claims': 'names are unique (RFC 7519 section 4)',
  'dpop_proof.malformed padding': 'base64url has none (RFC 7515 section 2)',
  'dpop_proof.malformed jti': 'an id is a string, and not an empty one',
}
/** The flaws that we accept and the other library rejects, with the reason. */
const LOOSER = {
  htu: 'escapes of unreserved characters say the same (RFC 3986 section 6.2.2.2)',
}

/** A random number generator with a seed: the proofs are the same in every run (Mulberry32). */
function randomChoices(seed) {
  let state = seed
  const roll = () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  return { roll, pick: (list) => list[Math.floor(roll() * list.length)] }
}

const pair = (type, options = {}) => generateKeyPairSync(type, { ...options, publicKeyEncoding: { format: 'jwk' }, privateKeyEncoding: { format: 'pem', type: 'pkcs8' } })
const rsa = pair('rsa', { modulusLength: 2048 })
const keys = {
  ES256: pair('ec', { namedCurve: 'P-256' }),
  ES384: pair('ec', { namedCurve: 'P-384' }),
  RS256: rsa,
  PS256: rsa,
  Ed25519: pair('ed25519'),
}
const other = pair('ec', { namedCurve: 'P-256' })
const signatureOptions = {
  ES256: ['sha256', { dsaEncoding: 'ieee-p1363' }],
  ES384: ['sha384', { dsaEncoding: 'ieee-p1363' }],
  RS256: ['sha256', {}],
  PS256: ['sha256', { padding: 6, saltLength: 32 }],
  Ed25519: [null, {}],
}
const hash = (text) => createHash('sha256').update(text).digest('base64url')
const encode = (text) => Buffer.from(text).toString('base64url')

const ODD = [null, 7, -1, true, '', 'another', ['another'], [], {}, 1.5]
const VALUES = {
  jti: ['x'.repeat(600)],
  htm: ['get', 'POST', 'GET ', 'HEAD'],
  htu: [
    `${TARGET}?page=2`, `${TARGET}#top`, 'HTTPS://API.EXAMPLE:443/orders', 'https://api.example/a/../orders', 'https://api.example/%6Frders',
    `${TARGET}/`, 'https://api.example:8443/orders', 'http://api.example/orders', 'https://api.example.evil/orders', '/orders', 'orders',
    'https://user@api.example/orders', 'https://api.example/Orders', 'https://api.example', 'https://api.example/ord%65rs?x#y',
  ],
  iat: [NOW - 121, NOW - 120, NOW - 61, NOW - 60, NOW + 60, NOW + 61, NOW + 0.5, String(NOW), 1e30, -NOW],
  ath: [hash('another'), hash(TOKEN).toUpperCase(), `${hash(TOKEN)}=`],
  exp: [NOW, NOW - 59, NOW - 60, NOW + 60],
  nbf: [NOW, NOW + 60, NOW + 61],
}
const CLAIMS = Object.keys(VALUES)
const HEADER = {
  typ: (proof, { pick }) => { proof.header.typ = pick([undefined, 'JWT', 'dpop', 'application/dpop+jwt', 'DPOP+JWT', 'at+jwt', '', null, 7]) },
  alg: (proof, { pick }) => { proof.header.alg = pick(['none', 'HS256', 'RS512', 'es256', '', null, 7, ...ALGS]) },
  jwk: (proof, { pick }) => {
    const { jwk } = proof.header
    proof.header.jwk = pick([undefined, null, 'key', {}, other.publicKey, { ...jwk, d: 'AAAA' }, { ...jwk, x: 'AAAA', n: 'AAAA' }, { kty: 'oct', k: 'AAAA' }, { ...jwk, kid: 'k' }])
  },
  crit: (proof, { pick }) => { proof.header.crit = pick([['exp'], ['x'], [], 'x', null]) },
}
const withTextBefore = (before) => (value) => `${before}${JSON.stringify(value).slice(1)}`
const FLAWS = {
  'twice in the header': (proof) => { proof.headed = withTextBefore('{"alg":"none",') },
  'twice in the claims': (proof) => { proof.spelled = withTextBefore('{"htm":"POST",') },
  'signature of another': (proof) => { proof.signer = 'other' },
  'no signature': (proof) => { proof.finished = ([header, claims]) => [header, claims, ''] },
  'two parts': (proof) => { proof.finished = (parts) => parts.slice(0, 2) },
  'four parts': (proof) => { proof.finished = (parts) => [...parts, 'x'] },
  padding: (proof) => { proof.finished = ([header, claims, last]) => [header, claims, `${last}==`] },
}

function make(random) {
  const { roll, pick } = random
  const alg = pick(ALGS)
  const proof = {
    header: { typ: 'dpop+jwt', alg, jwk: keys[alg].publicKey },
    claims: { jti: String(roll()), htm: METHOD, htu: TARGET, iat: NOW, ath: hash(TOKEN) },
    signer: alg,
    headed: JSON.stringify,
    spelled: JSON.stringify,
    finished: (parts) => parts,
  }
  const flaws = []
  for (let remaining = pick([0, 1, 1, 1, 1, 2]); remaining > 0; remaining -= 1) {
    const kind = pick([...CLAIMS, ...CLAIMS, ...Object.keys(HEADER), ...Object.keys(FLAWS)])
    flaws.push(kind)
    if (CLAIMS.includes(kind)) proof.claims[kind] = roll() < 0.15 ? undefined : pick([...VALUES[kind], ...VALUES[kind], ...ODD])
    else (HEADER[kind] ?? FLAWS[kind])(proof, random)
  }
  const input = [proof.headed(proof.header), proof.spelled(proof.claims)].map(encode)
  const { privateKey } = proof.signer === 'other' ? other : keys[proof.signer]
  const [digest, options] = proof.signer === 'other' ? signatureOptions.ES256 : signatureOptions[alg]
  const signature = sign(digest, Buffer.from(input.join('.')), { key: privateKey, ...options }).toString('base64url')
  return { text: proof.finished([...input, signature]).join('.'), flaws, key: keys[alg] }
}

const ISSUER = 'https://as.example'
const server = Server.fromMetadata(ISSUER, { issuer: ISSUER, introspection_endpoint: `${ISSUER}/introspect` })
const client = new Client(server, { clientId: 'api', clientSecret: 's' })
const verifier = AccessTokenVerifier.introspecting(client, { audience: 'https://api.example', dpopAlgs: ALGS, dpopReplay: 'caller' })
const moment = () => ({ now: NOW, seed: new Uint8Array(32) })

/** The code of our error, or `undefined` if we accept the proof. */
function ourErrorCode(dpop, jkt) {
  try {
    const exchange = verifier.verifyRequestExchange({ method: METHOD, url: TARGET, authorization: `DPoP ${TOKEN}`, dpop, moment })
    const active = { active: true, client_id: 'c', cnf: { jkt } }
    const reply = { status: 200, headers: [['content-type', 'application/json']], body: Buffer.from(JSON.stringify(active)) }
    let step = exchange.begin()
    while (step.kind === 'send') step = exchange.reply(reply)
    assert.equal(step.value.subject, 'c')
    return undefined
  } catch (error) {
    if (error instanceof OAuthError) return error.code
    throw error
  }
}

const normalizedTarget = (text) => {
  const { origin, pathname, username } = new URL(text)
  if (username !== '') throw new Error('a user name')
  return `${origin}${pathname}`
}

/** The reason why jose, or a comparison here, refuses the proof, or `undefined`. */
async function joseErrorCode(proof, jkt) {
  try {
    const { payload } = await jwtVerify(proof, EmbeddedJWK, {
      typ: 'dpop+jwt', algorithms: ALGS, requiredClaims: ['jti', 'htm', 'htu', 'iat', 'ath'], maxTokenAge: 60, clockTolerance: 60,
      currentDate: new Date(NOW * 1000),
    })
    assert.equal(payload.htm, METHOD)
    assert.equal(normalizedTarget(payload.htu), normalizedTarget(TARGET))
    assert.equal(payload.ath, hash(TOKEN))
    assert.equal(await calculateJwkThumbprint(decodeProtectedHeader(proof).jwk), jkt)
    return undefined
  } catch (error) {
    return error.code ?? error.name
  }
}

test('two thousand DPoP proofs are accepted or rejected as by jose', async () => {
  const random = randomChoices(9449)
  const thumbprints = new Map()
  for (const key of Object.values(keys)) thumbprints.set(key, await calculateJwkThumbprint(key.publicKey))
  const unexplained = new Set()
  const counts = { taken: 0, refused: 0 }
  const reasons = new Set()
  for (let count = 0; count < PROOFS; count += 1) {
    const { text, flaws, key } = make(random)
    const jkt = thumbprints.get(key)
    const [we, they] = [ourErrorCode(text, jkt), await joseErrorCode(text, jkt)]
    if (we === undefined && they === undefined) counts.taken += 1
    else if (we !== undefined && they !== undefined) counts.refused += 1
    else {
      const found = flaws.map((flaw) => (we === undefined ? flaw : `${we} ${flaw}`)).filter((label) => label in STRICTER || label in LOOSER)
      found.forEach((reason) => reasons.add(reason))
      if (found.length === 0) unexplained.add(`we: ${we}, they: ${they}, ${flaws} ${text}`)
    }
  }
  assert.deepEqual([...unexplained].slice(0, 5), [])
  assert.deepEqual([...reasons].sort(), [...Object.keys(STRICTER), ...Object.keys(LOOSER)].sort())
  assert(counts.taken > 400 && counts.refused > 900, JSON.stringify(counts))
})
