// Ten thousand access tokens, verified by this package and by jose, which share no code. Where one accepts a token that
// the other refuses, the kind of difference must be listed here with its reason.
import assert from 'node:assert/strict'
import { createPrivateKey, sign } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { core, root } from './helper.mjs'

// A development tool of the tests, not a dependency of the package.
const tools = createRequire(join(root, 'bindings/node/package.json'))
const { createLocalJWKSet, errors, jwtVerify } = await import(pathToFileURL(tools.resolve('jose')))
const { AccessTokenVerifier, OAuthError, Server } = core
const { keys: { as_private: PRIVATE } } = JSON.parse(await readFile(join(root, 'tests/vectors/vectors.json'), 'utf8'))

const TOKENS = 10_000
const SEED = 20_260
const NOW = 1_750_000_000
const ISSUER = 'https://as.example'
const AUDIENCE = 'https://api.example'
const SKEW = 60
const ALGS = { RS256: 'rsa1', PS256: 'rsa1', ES256: 'ec1', ES384: 'ec384', EdDSA: 'ed1' }
const NAMES = Object.keys(ALGS)

/** The reasons why we refuse tokens that jose accepts, by our error code and the flaw of the token. */
const STRICTER = {
  'jws.duplicate_member twice in the header': 'names are unique (RFC 7515 section 4)',
  'jwt.duplicate_member twice in the claims': 'names are unique (RFC 7519 section 4)',
  'jws.malformed line break': 'base64url has no line breaks (RFC 7515 section 2)',
  'jws.malformed padding': 'base64url has no padding (RFC 7515 section 2)',
  'jws.malformed trailing bits': 'one signature has one spelling (RFC 4648 section 3.5)',
  'jwt.malformed mark': 'JSON has no byte order mark (RFC 8259 section 8.1)',
  'jwt.malformed nesting': 'deep nesting is no claim',
  'jwt.malformed surrogate': 'half a character is no text (RFC 8259 section 8.2)',
  'jwt.issued_in_future iat': 'iat is compared with the clock; jose does so where an age is asked for',
  'jwt.malformed_claim aud': 'each audience is text (RFC 7519 section 4.1.3)',
  'jwt.malformed_claim sub': 'it names somebody: text that is not empty',
  'jwt.malformed_claim client_id': 'it is text, and not empty (RFC 9068 section 2.2)',
  'jwt.malformed_claim jti': 'it is text (RFC 7519 section 4.1.7)',
  'jwt.malformed_claim scope': 'it is text of scope tokens (RFC 8693 section 4.2)',
  'jwt.unexpected_claim foreign': 'events make it a logout token',
}

/** The reasons why jose refuses tokens that we accept, by its error code and the flaw. */
const LOOSER = {}

/** A random number generator with a seed: the tokens are the same in every run (Mulberry32). */
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

const signatureOptions = {
  RS256: ['sha256', {}],
  PS256: ['sha256', { padding: 6, saltLength: 32 }],
  ES256: ['sha256', { dsaEncoding: 'ieee-p1363' }],
  ES384: ['sha384', { dsaEncoding: 'ieee-p1363' }],
  EdDSA: [null, {}],
}
const signers = Object.fromEntries(NAMES.map((alg) => {
  const key = createPrivateKey({ key: PRIVATE[ALGS[alg]], format: 'jwk' })
  const [hash, options] = signatureOptions[alg]
  return [alg, (text) => sign(hash, text, { key, ...options }).toString('base64url')]
}))
const jwks = {
  keys: NAMES.map((alg) => {
    const members = ['kty', 'n', 'e', 'crv', 'x', 'y'].filter((name) => name in PRIVATE[ALGS[alg]])
    const pairs = members.map((name) => [name, PRIVATE[ALGS[alg]][name]])
    return { ...Object.fromEntries(pairs), kid: alg, alg }
  }),
}

const encode = (bytes) => Buffer.from(bytes).toString('base64url')
const UNEXPECTED_VALUES = [null, 7, -1, true, '', 'another', ['another'], [], {}, 1.5]
const FOREIGN_CLAIMS = [{ nonce: 'n' }, { events: {} }, { extra: UNEXPECTED_VALUES }]
const TIMES = [NOW - 7200, NOW - SKEW / 2, NOW, NOW + SKEW / 2, NOW + 7200, NOW + 0.5]
const VALUES = {
  exp: [...TIMES, String(NOW + 7200), 1e30, -NOW],
  iat: [...TIMES, String(NOW)],
  nbf: [...TIMES, String(NOW), 0],
  aud: [[AUDIENCE], [AUDIENCE, 'b'], ['b'], `${AUDIENCE}/`, `${AUDIENCE} b`, AUDIENCE.toUpperCase(), [AUDIENCE, 7]],
  iss: [`${ISSUER}/`, [ISSUER], ISSUER.toUpperCase(), 'https://as.example.evil'],
  scope: ['read  write', 'a\\b', ['read']],
}
const CLAIMS = ['iss', 'aud', 'exp', 'iat', 'nbf', 'sub', 'client_id', 'jti', 'scope']

const HEADER_FLAWS = {
  typ: ({ header }, { pick }) => {
    header.typ = pick([undefined, 'JWT', 'application/at+jwt', 'AT+JWT', 'logout+jwt', '', null, 7])
  },
  kid: ({ header }, { pick }) => { header.kid = pick([undefined, 'unknown', '', ...NAMES]) },
  alg: ({ header }, { pick }) => { header.alg = pick(['none', 'HS256', 'RS512', 'rs256', '', null, 7, ...NAMES]) },
  signer: (token, { pick }) => { token.signer = pick(NAMES) },
  extension: ({ header }, { pick, roll }) => {
    header.crit = pick([['exp'], ['b64'], ['x'], [], 'x', ['alg'], ['x', 'x'], null])
    if (roll() < 0.5) header.x = 1
  },
  member: ({ header }, { pick }) => {
    const jwk = { kty: 'oct', k: 'AAAA' }
    Object.assign(header, pick([{ jku: 'https://evil.example' }, { jwk }, { kid: 7 }, { kid: null }, { x5c: 'x' }]))
  },
}

/** Serializes an object with this text before its first member and after its last. */
const withTextAround = (before, after) => (value) => Buffer.concat([
  before, JSON.stringify(value).slice(1, -1), after,
].map(  (part) => Buffer.from(part)))
const JSON_FLAWS = {
  'twice in the header': (token) => { token.headed = withTextAround('{"alg":"none",', '}') },
  'twice in the claims': (token) => { token.spelled = withTextAround('{"sub":"admin",', '}') },
  trailing: (token, { pick }) => { token.spelled = withTextAround('{', pick(['} ', '}\n', '}x', '}{}', '},'])) },
  mark: (token) => { token.spelled = withTextAround('\ufeff{', '}') },
  'not a number': (token, { pick }) => { token.spelled = withTextAround('{', pick([',"x":NaN}', ',"x":1e999}'])) },
  nesting: (token, { pick }) => {
    const depth = pick([40, 400])
    token.spelled = withTextAround('{', `,"x":${'['.repeat(depth)}${']'.repeat(depth)}}`)
  },
  surrogate: (token) => { token.spelled = withTextAround('{', ',"x":"\\ud800"}') },
  octets: (token) => { token.spelled = withTextAround('{', Buffer.from([0x2c, 0x22, 0x78, 0x22, 0x3a, 0x22, 0xff, 0x22, 0x7d])) },
  'no claims': (token, { pick }) => {
    const text = pick(['[]', '"text"', 'null', '', '{}'])
    token.spelled = () => Buffer.from(text)
  },
}

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
const changeCharacter = (which) => (parts, place) => {
  const part = parts[which]
  const at = Math.floor(place * part.length)
  return parts.with(which, part.slice(0, at) + (part[at] === 'A' ? 'B' : 'A') + part.slice(at + 1))
}
const signature = (change) => ([header, claims, last]) => [header, claims, change(last)]
const SERIALIZATION_FLAWS = {
  'flip in the header': changeCharacter(0),
  'flip in the claims': changeCharacter(1),
  'flip in the signature': changeCharacter(2),
  // The last character of most signatures has unused bits.
  'trailing bits': signature((last) => last.slice(0, -1) + ALPHABET[ALPHABET.indexOf(last.at(-1)) ^ (last.length % 4 ? 1 : 0)]),
  padding: signature((last) => last + '='.repeat((4 - (last.length % 4)) % 4)),
  'line break': signature((last) => `${last.slice(0, 9)}\n${last.slice(9)}`),
  alphabet: signature((last) => last.replaceAll('-', '+').replaceAll('_', '/')),
  'signature of another': ([header, claims], _, before) => [header, claims, before.slice(before.lastIndexOf('.') + 1)],
  'no signature': signature(() => ''),
  'two parts': (parts) => parts.slice(0, 2),
  'four parts': (parts) => [...parts, 'x'],
  nested: ([header, claims, last]) => [header, encode([header, claims, last].join('.')), last],
  truncated: (parts, place) => {
    const text = parts.join('.')
    return [text.slice(0, Math.floor(place * text.length))]
  },
}

function makeToken(random, before) {
  const { roll, pick } = random
  const alg = pick(NAMES)
  const token = {
    header: { alg, kid: alg, typ: 'at+jwt' },
    claims: {
      iss: ISSUER, aud: AUDIENCE, sub: 'u', client_id: 'c', jti: String(roll()), scope: 'read', iat: NOW, exp: NOW + 7200,
    },
    signer: alg,
    headed: (value) => JSON.stringify(value),
    spelled: (value) => JSON.stringify(value),
    finished: (parts) => parts,
  }
  const flaws = []
  const otherKinds = [HEADER_FLAWS, JSON_FLAWS, SERIALIZATION_FLAWS].flatMap(Object.keys)
  let kinds = [...CLAIMS, ...CLAIMS, 'foreign', ...otherKinds]
  for (let remaining = pick([0, 1, 1, 1, 1, 1, 2]); remaining > 0; remaining -= 1) {
    const kind = pick(kinds)
    flaws.push(kind)
    const values = [...(VALUES[kind] ?? []), ...UNEXPECTED_VALUES]
    if (CLAIMS.includes(kind)) token.claims[kind] = roll() < 0.2 ? undefined : pick(values)
    else if (kind === 'foreign') Object.assign(token.claims, pick(FOREIGN_CLAIMS))
    else if (HEADER_FLAWS[kind]) HEADER_FLAWS[kind](token, random)
    else if (JSON_FLAWS[kind]) JSON_FLAWS[kind](token, random)
    else {
      const place = roll()
      token.finished = (parts) => SERIALIZATION_FLAWS[kind](parts, place, before)
    }
    // A token has at most one flaw of its serialization: a second one would replace the first.
    kinds = [...CLAIMS, ...Object.keys(HEADER_FLAWS)]
  }
  const input = [token.headed(token.header), token.spelled(token.claims)].map(encode)
  const text = input.join('.')
  return { text: token.finished([...input, signers[token.signer](Buffer.from(text))]).join('.'), flaws }
}

const server = Server.fromMetadata(ISSUER, { issuer: ISSUER, jwks_uri: `${ISSUER}/jwks` })
const verifier = new AccessTokenVerifier(server, { audience: AUDIENCE, algs: NAMES })
const reply = { status: 200, headers: [['content-type', 'application/json']], body: Buffer.from(JSON.stringify(jwks)) }
const moment = () => ({ now: NOW, seed: new Uint8Array(32) })

/** The code of our error, or `undefined` if we accept the token. */
function ourErrorCode(token) {
  try {
    const exchange = verifier.verifyExchange(token, { moment })
    let step = exchange.begin()
    while (step.kind === 'send') step = exchange.reply(reply)
    // The result can be used.
    assert(!Number.isNaN(step.value.expiresAt.getTime()))
    return undefined
  } catch (error) {
    if (error instanceof OAuthError) return error.code
    throw error
  }
}

const keys = createLocalJWKSet(jwks)
const options = {
  issuer: ISSUER,
  audience: AUDIENCE,
  algorithms: NAMES,
  clockTolerance: SKEW,
  currentDate: new Date(NOW * 1000),
  typ: 'at+jwt',
  requiredClaims: ['sub', 'client_id', 'jti', 'iat', 'exp'],
}

/** The code of jose's error, or `undefined` if it accepts the token. */
async function joseErrorCode(token) {
  try {
    await jwtVerify(token, keys, options)
    return undefined
  } catch (error) {
    if (error instanceof errors.JOSEError) return error.code
    return error.name
  }
}

test('ten thousand tokens are accepted or rejected as by jose', async () => {
  const random = randomChoices(SEED)
  const counts = {}
  const unexplained = {}
  const count = (where, kind) => { where[kind] = (where[kind] ?? 0) + 1 }
  let before = 'a.b.c'
  for (let n = 0; n < TOKENS; n += 1) {
    const { text, flaws } = makeToken(random, before)
    const [we, they] = [ourErrorCode(text), await joseErrorCode(text)]
    before = text
    if ((we === undefined) === (they === undefined)) {
      count(counts, we === undefined ? 'both take' : 'both refuse')
      continue
    }
    const [table, why] = they === undefined ? [STRICTER, we] : [LOOSER, they]
    const knownDifference = flaws.map((flaw) => `${why} ${flaw}`).find((kind) => kind in table)
    if (knownDifference) count(counts, knownDifference)
    else count(unexplained, [they === undefined ? 'we refuse' : 'they refuse', why, ...flaws].join(' | '))
  }
  console.log(counts)
  assert.deepEqual(unexplained, {})
  assert(counts['both take'] > TOKENS / 10 && counts['both refuse'] > TOKENS / 10)
  const stale = [...Object.keys(STRICTER), ...Object.keys(LOOSER)].filter((kind) => !counts[kind])
  assert.deepEqual(stale, [], 'nothing of this kind came up')
})
