import { createPrivateKey, createPublicKey, generateKeyPairSync } from 'node:crypto'

/**
 * A key pair whose halves are read from PEM. Node.js 20 can wait for itself for ever when it exports a key that
 * was generated, and the garbage collector comes for the generation meanwhile.
 */
export function keyPair(kind, options) {
  const { privateKey, publicKey } = generateKeyPairSync(kind, {
    ...options,
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    publicKeyEncoding: { type: 'spki', format: 'pem' },
  })
  return { privateKey: createPrivateKey(privateKey), publicKey: createPublicKey(publicKey) }
}
