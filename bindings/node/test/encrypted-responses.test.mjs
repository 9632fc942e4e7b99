// Authorization responses that the FAPI twin signs, and encrypts to its client (JARM section 2.2).
import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { test } from 'node:test'
import { followToCallback, core, rejection, twins } from './helper.mjs'

const { Client, DpopKey, discover, privateKeyJwt } = core
const redirectUri = 'http://127.0.0.1/callback'
const { fapi } = await twins()

test('signed authorization responses are decrypted with the key of the client', async () => {
  const { clientId, clientKey } = await fapi.client()
  const client = async (options) => new Client(await discover(fapi.base, { transport: 'loopback_http' }), {
    clientId, clientAuth: privateKeyJwt(clientKey), dpopKey: await DpopKey.generate(), ...options,
  })
  const login = async (client) => {
    const { url, flow } = await client.beginAuthorization({ redirectUri, scope: 'openid', responseMode: 'jwt' })
    const callback = await followToCallback(url, redirectUri)
    return { parts: callback.searchParams.get('response').split('.').length, done: client.redeem(flow, callback) }
  }
  for (const [alg, enc, type, options] of [
    ['ECDH-ES', 'A256GCM', 'ec', { namedCurve: 'P-256' }],
    ['ECDH-ES+A256KW', 'A128CBC-HS256', 'ec', { namedCurve: 'P-384' }],
    ['RSA-OAEP-256', 'A256GCM', 'rsa', { modulusLength: 2048 }],
  ]) {
    const { publicKey, privateKey } = generateKeyPairSync(type, options)
    await fapi.encryptResponses(publicKey.export({ format: 'jwk' }), alg, enc)
    const ownClient = await client({
      authorizationEncryptedResponseAlg: alg,
      authorizationEncryptedResponseEnc: enc,
      decryptionKeys: [JSON.stringify(privateKey.export({ format: 'jwk' }))],
    })
    const { parts, done } = await login(ownClient)
    assert.equal(parts, 5)
    assert.equal((await done).tokenType, 'DPoP')
  }
  const { done } = await login(await client({}))
  assert.equal((await rejection(done)).code, 'jwe.unexpected')
})
