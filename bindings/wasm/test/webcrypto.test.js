// Signatures that WebCrypto cannot verify: those of a key that cannot be used are bad ones, and those of an algorithm that
// the browser lacks are not judged.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { resumeWithWebCrypto } from '../js/webcrypto.js'

const step = (alg, jwk, signature) => ({ kind: 'verify', job: [alg, JSON.stringify(jwk), 'header.claims'], signature })
/** An exchange that tells what it is resumed with. */
const exchange = {
  verified: (now, isValid) => isValid,
  lost: (now, reason) => reason,
}
const { publicKey } = await crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, ['sign', 'verify'])
const { kty, crv, x, y } = await crypto.subtle.exportKey('jwk', publicKey)

test('a key that is not on its curve invalidates the signature', async () => {
  assert.equal(await resumeWithWebCrypto(exchange, step('ES256', { kty, crv, x, y: x }, new Uint8Array(64))), false)
  assert.equal(await resumeWithWebCrypto(exchange, step('ES256', { kty, crv, x, y }, new Uint8Array(64))), false)
})

for (const [name, outcome] of [
  ['DataError', false],
  ['OperationError', false],
  ['NotSupportedError', 'this browser cannot verify it: NotSupportedError'],
]) {
  test(`a failed key import means no valid signature or is reported as unsupported: ${name}`, async (context) => {
    context.mock.method(crypto.subtle, 'importKey', async () => { throw new DOMException('no', name) })
    assert.equal(await resumeWithWebCrypto(exchange, step('Ed25519', { kty: 'OKP', crv: 'Ed25519', x }, new Uint8Array(63))), outcome)
  })
}
