// A signed access token and an ID token verified with a key at hand, a client's assertion and a DPoP proof made, by each library.
import { createPrivateKey, createPublicKey, randomUUID, sign, verify } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { OURS, requireSameResults, measureCpu, printFigure, inTurns, medians } from './harness.mjs'
import * as dpop from 'dpop'
import { SignJWT, createLocalJWKSet, jwtVerify } from 'jose'
import * as oauth from 'oauth4webapi'
import * as openid from 'openid-client'
import { AccessTokenVerifier, Client, DpopKey, Server, privateKeyJwt } from '../../../bindings/node/js/index.mjs'

const ISSUER = 'https://as.example'
const AUDIENCE = 'https://api.example'
const NONCE = 'n-0S6_WzA2Mj'
const RAW = 'node:crypto, the signature alone'
const ALGS = { RS256: 'rsa1', ES256: 'ec1', EdDSA: 'ed1' }
const BATCH = 200
const ABOVE_RAW = 5
/** Of a DPoP proof, in microseconds. */
const PROOF = 35
const { keys: { as_private: PRIVATE } } = JSON.parse(readFileSync(new URL('../../vectors/vectors.json', import.meta.url)))
const now = Math.floor(Date.now() / 1000)

/** The arguments with which `node:crypto` signs: the hash, and the options of the key. */
const signatureOptions = (alg) =>
  [alg === 'EdDSA' ? null : 'sha256', alg === 'ES256' ? { dsaEncoding: 'ieee-p1363' } : {}]

function publicJwk(alg) {
  const key = PRIVATE[ALGS[alg]]
  const members = ['kty', 'n', 'e', 'crv', 'x', 'y'].filter((name) => name in key)
  return { ...Object.fromEntries(members.map((name) => [name, key[name]])), kid: alg, alg, use: 'sig' }
}

const accessToken = (n) => ({ aud: AUDIENCE, sub: `user-${n}`, client_id: 'c', jti: `${n}`, scope: 'read write' })
const idToken = (n) => ({ aud: 'c', sub: `user-${n}`, nonce: NONCE, name: 'Ann Example', email: 'ann@example.com', email_verified: true })

/** Tokens that differ, with these claims. */
function tokens(alg, makeClaims = accessToken, typ = 'at+jwt') {
  const key = createPrivateKey({ key: PRIVATE[ALGS[alg]], format: 'jwk' })
  const [hash, options] = signatureOptions(alg)
  const encode = (part) => Buffer.from(JSON.stringify(part)).toString('base64url')
  return Array.from({ length: BATCH }, (_, n) => {
    const claims = { iss: ISSUER, ...makeClaims(n), iat: now, exp: now + 7200 }
    const input = `${encode({ alg, kid: alg, typ })}.${encode(claims)}`
    return `${input}.${sign(hash, Buffer.from(input), { key, ...options }).toString('base64url')}`
  })
}

/** CPU microseconds per call, for each round. */
async function rounds(sides) {
  const batch = (side) => async () => {
    const cpu = await measureCpu(async () => {
      for (let n = 0; n < BATCH; n += 1) await side(n)
    })
    return cpu / BATCH
  }
  const runs = Object.entries(sides).map(([name, side]) => [name, batch(side)])
  return inTurns(Object.fromEntries(runs), 21)
}

async function verifying(alg) {
  const shown = tokens(alg)
  const jwks = { keys: [publicJwk(alg)] }
  const metadata = { issuer: ISSUER, jwks_uri: `${ISSUER}/jwks` }
  const headers = { 'content-type': 'application/json' }
  const fetch = async () => new Response(JSON.stringify(jwks), { headers })
  const verifier = new AccessTokenVerifier(Server.fromMetadata(ISSUER, metadata), { audience: AUDIENCE, algs: [alg], fetch })
  const keys = createLocalJWKSet(jwks)
  const verifyOptions = { issuer: ISSUER, audience: AUDIENCE, algorithms: [alg], typ: 'at+jwt', requiredClaims: ['sub', 'client_id'] }
  const cache = {}
  const withCache = { [oauth.customFetch]: fetch, [oauth.jwksCache]: cache }
  const requests = shown.map((token) => new Request(AUDIENCE, { headers: { authorization: `Bearer ${token}` } }))
  const sides = {
    [OURS]: async (n) => (await verifier.verify(shown[n])).subject,
    'oauth-core, without a promise': (n) => verifier.verifyExchange(shown[n]).begin().value.subject,
    jose: async (n) => (await jwtVerify(shown[n], keys, verifyOptions)).payload.sub,
    oauth4webapi: async (n) => (await oauth.validateJwtAccessToken(metadata, requests[n], AUDIENCE, withCache)).sub,
  }
  for (let n = 0; n < BATCH; n += 1) {
    const results = {}
    for (const [name, side] of Object.entries(sides)) results[name] = await side(n)
    requireSameResults(alg, results)
  }
  const taken = await besideRaw(alg, shown, sides)
  const title = `Node.js: an access token verified with a key at hand, ${alg}`
  printFigure(title, 'us CPU', taken, { budget: taken[RAW] + ABOVE_RAW })
}

/** An ID token posted by an app, with the nonce of its request. */
async function verifyingIds(alg) {
  const shown = tokens(alg, idToken, 'JWT')
  const jwks = { keys: [publicJwk(alg)] }
  const fetch = async () => new Response(JSON.stringify(jwks), { headers: { 'content-type': 'application/json' } })
  const metadata = { issuer: ISSUER, jwks_uri: `${ISSUER}/jwks`, id_token_signing_alg_values_supported: [alg] }
  const client = new Client(Server.fromMetadata(ISSUER, metadata), { clientId: 'c', clientAuth: 'none', idTokenSignedResponseAlg: alg, fetch })
  const keys = createLocalJWKSet(jwks)
  const verifyOptions = { issuer: ISSUER, audience: 'c', algorithms: [alg], requiredClaims: ['sub', 'iat', 'exp'] }
  // It verifies signatures only of ID tokens that come through the browser.
  const config = new openid.Configuration({ ...metadata, authorization_endpoint: `${ISSUER}/authorize` }, 'c', { id_token_signed_response_alg: alg })
  config[openid.customFetch] = fetch
  openid.useIdTokenResponseType(config)
  const callbacks = shown.map((token) => new URL(`https://app.example/cb#id_token=${token}`))
  const sides = {
    [OURS]: async (n) => (await client.verifyIdToken({ token: shown[n], nonce: NONCE })).subject,
    jose: async (n) => {
      const { payload } = await jwtVerify(shown[n], keys, verifyOptions)
      if (payload.nonce !== NONCE) throw new Error(alg)
      return payload.sub
    },
    'openid-client': async (n) => (await openid.implicitAuthentication(config, callbacks[n], NONCE)).sub,
  }
  for (let n = 0; n < BATCH; n += 1) {
    const results = {}
    for (const [name, side] of Object.entries(sides)) results[name] = await side(n)
    requireSameResults(alg, results)
  }
  const taken = await besideRaw(alg, shown, sides)
  printFigure(`Node.js: an ID token verified with a key at hand, ${alg}`, 'us CPU', taken, { budget: taken[RAW] + ABOVE_RAW })
}

/** The costs of the sides, and of the signature alone. */
async function besideRaw(alg, shown, sides) {
  const key = createPublicKey({ key: publicJwk(alg), format: 'jwk' })
  const [hash, options] = signatureOptions(alg)
  const parts = shown.map((token) => token.split('.'))
  const inputs = parts.map(([header, claims]) => Buffer.from(`${header}.${claims}`))
  const signatures = parts.map(([, , signature]) => Buffer.from(signature, 'base64url'))
  const raw = (n) => {
    if (!verify(hash, inputs[n], { key, ...options }, signatures[n])) throw new Error(alg)
  }
  return medians(await rounds({ ...sides, [RAW]: raw }))
}

/** The names of the algorithms in WebCrypto. */
const WEB_CRYPTO = {
  RS256: { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' },
  ES256: { name: 'ECDSA', namedCurve: 'P-256' },
  EdDSA: 'Ed25519',
}

/** The keys of WebCrypto, which `dpop` and openid-client sign with. */
async function webCryptoPair(alg) {
  const bare = ({ kid, use, alg, ...members }) => members
  const [shown, secret] = [bare(publicJwk(alg)), bare(PRIVATE[ALGS[alg]])]
  const [privateKey, publicKey] = await Promise.all([
    crypto.subtle.importKey('jwk', secret, WEB_CRYPTO[alg], false, ['sign']),
    crypto.subtle.importKey('jwk', shown, WEB_CRYPTO[alg], true, ['verify']),
  ])
  return { privateKey, publicKey }
}

/** The cost of an assertion: a request with a secret is subtracted from ours. */
async function signing(alg) {
  const server = Server.fromMetadata(ISSUER, { issuer: ISSUER, token_endpoint: `${ISSUER}/token` })
  const jwk = PRIVATE[ALGS[alg]]
  const clientAuth = privateKeyJwt(JSON.stringify(jwk), { alg, kid: alg })
  const withKey = new Client(server, { clientId: 'c', clientAuth })
  const withSecret = new Client(server, { clientId: 'c', clientSecret: 's3cr3t' })
  const key = createPrivateKey({ key: jwk, format: 'jwk' })
  const [hash, options] = signatureOptions(alg)
  const input = Buffer.from(tokens(alg)[0].split('.').slice(0, 2).join('.'))
  const header = { alg, kid: alg, typ: 'client-authentication+jwt' }
  const { privateKey } = await webCryptoPair(alg)
  const authenticate = openid.PrivateKeyJwt({ key: privateKey, kid: alg })
  const results = await rounds({
    [OURS]: () => withKey.exchange.clientCredentials().begin(),
    'with a secret': () => withSecret.exchange.clientCredentials().begin(),
    jose: () => {
      const claims = { iss: 'c', sub: 'c', aud: ISSUER, jti: randomUUID(), iat: now, exp: now + 60 }
      return new SignJWT(claims).setProtectedHeader(header).sign(key)
    },
    'openid-client': () => authenticate({ issuer: ISSUER }, { client_id: 'c' }, new URLSearchParams(), new Headers()),
    [RAW]: () => sign(hash, input, { key, ...options }),
  })
  const { 'with a secret': plain, ...others } = results
  const ours = results[OURS].map((value, n) => value - plain[n])
  const taken = medians({ ...others, [OURS]: ours })
  printFigure(`Node.js: private_key_jwt made, ${alg}`, 'us CPU', taken, { budget: taken[RAW] + ABOVE_RAW })
}

/** The cost of a proof (RFC 9449): a request without one is subtracted from ours. */
async function proving(alg) {
  const endpoint = `${ISSUER}/token`
  const server = Server.fromMetadata(ISSUER, { issuer: ISSUER, token_endpoint: endpoint })
  const jwk = PRIVATE[ALGS[alg]]
  const dpopKey = new DpopKey(JSON.stringify(jwk), { alg })
  const bound = new Client(server, { clientId: 'c', clientSecret: 's3cr3t', dpopKey })
  const plain = new Client(server, { clientId: 'c', clientSecret: 's3cr3t' })
  const key = createPrivateKey({ key: jwk, format: 'jwk' })
  const [hash, options] = signatureOptions(alg)
  const input = Buffer.from(tokens(alg)[0].split('.').slice(0, 2).join('.'))
  const { kid, use, alg: _, ...shown } = publicJwk(alg)
  const header = { alg, typ: 'dpop+jwt', jwk: shown }
  const pair = await webCryptoPair(alg)
  const results = await rounds({
    [OURS]: () => bound.exchange.clientCredentials().begin(),
    'without a proof': () => plain.exchange.clientCredentials().begin(),
    jose: () => {
      const claims = { htm: 'POST', htu: endpoint, iat: now, jti: randomUUID() }
      return new SignJWT(claims).setProtectedHeader(header).sign(key)
    },
    dpop: () => dpop.generateProof(pair, endpoint, 'POST'),
    [RAW]: () => sign(hash, input, { key, ...options }),
  })
  const { 'without a proof': without, ...others } = results
  const ours = results[OURS].map((value, n) => value - without[n])
  printFigure(`Node.js: a DPoP proof made, ${alg}`, 'us CPU', medians({ ...others, [OURS]: ours }), { budget: PROOF })
}

for (const alg of Object.keys(ALGS)) await verifying(alg)
for (const alg of Object.keys(ALGS)) await verifyingIds(alg)
for (const alg of Object.keys(ALGS)) await signing(alg)
for (const alg of ['ES256', 'EdDSA']) await proving(alg)
