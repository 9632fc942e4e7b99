// What API servers receive: access tokens, and DPoP proofs (RFC 9449) with every flaw, for Node.js and for Workers.
import { createHash, createHmac, generateKeyPairSync, randomUUID, sign } from 'node:crypto'
import { core } from './helper.mjs'

export const AUDIENCE = 'https://api.example'
export const URL_OF_REQUEST = 'https://api.example/orders'

export const keyPair = (type = 'ec', options = { namedCurve: 'P-256' }) => generateKeyPairSync(type, {
  ...options,
  privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  publicKeyEncoding: { format: 'jwk' },
})
export const issuerKey = keyPair()
export const holderKey = keyPair()
export const otherKey = keyPair()
const rsa = keyPair('rsa', { modulusLength: 2048 })
/** A key for each algorithm of a proof. */
export const keys = {
  ES256: holderKey,
  ES384: keyPair('ec', { namedCurve: 'P-384' }),
  ES512: keyPair('ec', { namedCurve: 'P-521' }),
  Ed25519: keyPair('ed25519'),
  RS256: rsa,
  PS256: rsa,
}
const signatureOptions = {
  ES256: ['sha256', { dsaEncoding: 'ieee-p1363' }],
  ES384: ['sha384', { dsaEncoding: 'ieee-p1363' }],
  ES512: ['sha512', { dsaEncoding: 'ieee-p1363' }],
  Ed25519: [null, {}],
  RS256: ['sha256', {}],
  PS256: ['sha256', { padding: 6, saltLength: 32 }],
}
export const thumbprintOf = ({ privateKey }) => new core.DpopKey(privateKey).thumbprint
export const jkt = thumbprintOf(holderKey)
export const now = () => Math.floor(Date.now() / 1000)
export const hash = (text) => createHash('sha256').update(text).digest('base64url')
const encode = (part) => Buffer.from(typeof part === 'string' ? part : JSON.stringify(part)).toString('base64url')

/** A JWS signed with this key, or with the given signature. */
export function signJws(header, claims, { privateKey }, { alg = 'ES256', signature, ...more } = {}) {
  const input = `${encode(header)}.${encode(claims)}`
  const [digest, options] = signatureOptions[alg]
  const signatureBytes = signature ?? sign(digest, Buffer.from(input), { key: privateKey, ...options, ...more })
  return `${input}.${signatureBytes.toString('base64url')}`
}

/** A proof for a token; members of `header` and `claims` replace or, if undefined, remove its own. */
export function proofFor(token, { header = {}, claims = {}, alg = 'ES256', key = keys[alg], ...how } = {}) {
  const own = { jti: randomUUID(), htm: 'GET', htu: URL_OF_REQUEST, iat: now(), ath: hash(token) }
  return signJws({ typ: 'dpop+jwt', alg, jwk: key.publicKey, ...header }, { ...own, ...claims }, key, { alg, ...how })
}

/** An access token of this issuer, bound to `holder`. */
export const tokenOf = (issuer, more = { cnf: { jkt } }) => signJws({ typ: 'at+jwt', alg: 'ES256', kid: '1' }, {
  iss: issuer, aud: AUDIENCE, sub: 'u', client_id: 'c', jti: 'j', scope: 'read', iat: now(), exp: now() + 60, ...more,
}, issuerKey)

function proofWithMac(token) {
  const input = proofFor(token, { header: { alg: 'HS256' } }).split('.').slice(0, 2).join('.')
  return `${input}.${createHmac('sha256', JSON.stringify(holderKey.publicKey)).update(input).digest('base64url')}`
}
const header = (header) => (token) => proofFor(token, { header })
const claims = (claims) => (token) => proofFor(token, { claims })

/** Flaws of proofs for a token bound to `holder`: the flaw, a function that creates the proof, and the error code. */
export const flaws = [
  ['is missing', () => undefined, 'dpop_proof.missing'],
  ['comes in no field of several', () => [], 'dpop_proof.missing'],
  ['comes twice', (token) => [proofFor(token), proofFor(token)], 'dpop_proof.duplicate'],
  ['comes twice in one field', (token) => `${proofFor(token)}, ${proofFor(token)}`, 'dpop_proof.duplicate'],
  ['is no JWT', () => 'proof', 'dpop_proof.malformed'],
  ['is too long', claims({ x: 'x'.repeat(20_000) }), 'dpop_proof.malformed'],
  ['has no typ', header({ typ: undefined }), 'dpop_proof.typ'],
  ['is of another type', header({ typ: 'JWT' }), 'dpop_proof.typ'],
  ['is not signed', header({ alg: 'none' }), 'dpop_proof.alg'],
  ['is signed with a shared secret', proofWithMac, 'dpop_proof.alg'],
  ['is signed by an algorithm that is not named', header({ alg: 'ES384' }), 'dpop_proof.alg'],
  ['has no key', header({ jwk: undefined }), 'dpop_proof.jwk'],
  ['has a private key', header({ jwk: { ...holderKey.publicKey, d: 'AAAA' } }), 'dpop_proof.jwk'],
  ['has a shared key', header({ jwk: { kty: 'oct', k: 'AAAA' } }), 'dpop_proof.jwk'],
  ['is signed with another key than its own', header({ jwk: otherKey.publicKey }), 'dpop_proof.signature'],
  ['has no jti', claims({ jti: undefined }), 'dpop_proof.missing_claim'],
  ['has no htm', claims({ htm: undefined }), 'dpop_proof.missing_claim'],
  ['has no htu', claims({ htu: undefined }), 'dpop_proof.missing_claim'],
  ['has no iat', claims({ iat: undefined }), 'dpop_proof.missing_claim'],
  ['is for another method', claims({ htm: 'POST' }), 'dpop_proof.htm'],
  ['is for another path', claims({ htu: `${URL_OF_REQUEST}/1` }), 'dpop_proof.htu'],
  ['is for another host', claims({ htu: 'https://other.example/orders' }), 'dpop_proof.htu'],
  ['has no ath', claims({ ath: undefined }), 'dpop_proof.ath'],
  ['is for another token', claims({ ath: hash('other') }), 'dpop_proof.ath'],
  ['is too old', (token) => proofFor(token, { claims: { iat: now() - 121 } }), 'dpop_proof.iat'],
  ['is of the future', (token) => proofFor(token, { claims: { iat: now() + 65 } }), 'dpop_proof.iat'],
  ['is by another key than the token\'s', (token) => proofFor(token, { key: otherKey }), 'access_token.proof_required'],
]

const repeatedByte = (length, byte) => Buffer.alloc(length, byte).toString('base64url')
/** A proof with other members in the public key of its header. */
const withJwk = (alg, jwk) => (token) => proofFor(token, { alg, header: { jwk: { ...keys[alg].publicKey, ...jwk } } })
const withSignature = (alg, signature) => (token) => proofFor(token, { alg, signature })

/** Proofs whose keys or signatures no library for cryptography can use, and how each is made. */
export const unusable = [
  ...[['ES256', 32], ['ES384', 48], ['ES512', 66]].flatMap(([alg, size]) => [
    [`a point off the curve (${alg})`, withJwk(alg, { y: keys[alg].publicKey.x })],
    [`coordinates of zero (${alg})`, withJwk(alg, { x: repeatedByte(size, 0), y: repeatedByte(size, 0) })],
    [`coordinates beyond the field (${alg})`, withJwk(alg, { x: repeatedByte(size, 255), y: repeatedByte(size, 255) })],
    [`a signature of zeros (${alg})`, withSignature(alg, Buffer.alloc(2 * size))],
    [`no signature (${alg})`, withSignature(alg, Buffer.alloc(0))],
    [`a short signature (${alg})`, withSignature(alg, Buffer.alloc(2 * size - 1, 1))],
    [`a signature in DER (${alg})`, (token) => proofFor(token, { alg, dsaEncoding: 'der' })],
  ]),
  ['a key that is no point (Ed25519)', withJwk('Ed25519', { x: repeatedByte(32, 2) })],
  ['no signature (Ed25519)', withSignature('Ed25519', Buffer.alloc(0))],
  ['a short signature (Ed25519)', withSignature('Ed25519', Buffer.alloc(63, 1))],
  ['a long signature (Ed25519)', withSignature('Ed25519', Buffer.alloc(65, 1))],
  ...['RS256', 'PS256'].flatMap((alg) => [
    [`an exponent of eight bytes (${alg})`, withJwk(alg, { e: repeatedByte(8, 255) })],
    [`an exponent of five bytes (${alg})`, withJwk(alg, { e: repeatedByte(5, 255) })],
    [`a modulus that is no product (${alg})`, withJwk(alg, { n: repeatedByte(1024, 255) })],
    [`no signature (${alg})`, withSignature(alg, Buffer.alloc(0))],
    [`a signature of zeros (${alg})`, withSignature(alg, Buffer.alloc(256))],
    [`a short signature (${alg})`, withSignature(alg, Buffer.alloc(255, 1))],
    [`a signature beyond the modulus (${alg})`, withSignature(alg, Buffer.alloc(256, 255))],
  ]),
  ['a salt of another length (PS256)', (token) => proofFor(token, { alg: 'PS256', saltLength: 0 })],
]
