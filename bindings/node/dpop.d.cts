import type { SigningAlg } from './client-auth.cjs'
import type { MaybePromise, SignStep } from './index.cjs'
import type { Store } from './stores.cjs'

/** A private key that tokens are bound to (RFC 9449), so that a stolen one is useless. It shows only its thumbprint. */
export class DpopKey {
  /**
   * From PEM (PKCS#8, PKCS#1, SEC1) or a JWK. `alg` is by default the first that the key supports;
   * `passphrase` decrypts PKCS#8 with PBES2. `key.*` for an invalid key.
   */
  constructor(key: string, options?: { alg?: SigningAlg | undefined; passphrase?: string | undefined })
  /**
   * A new key, in memory: tokens that are bound to it are useless after a restart, unless its `privatePem` is stored.
   * `key.algorithm` for an algorithm with a shared secret, and in Workers and edge runtimes for one that WebCrypto lacks.
   */
  static generate(options?: { alg?: SigningAlg | undefined }): Promise<DpopKey>
  /**
   * The key of this name in a store, which workers share as they share tokens; created on first use. Without
   * `SealedStore` it is in the store in the clear, as refresh tokens are. The name has at most 48 bytes. `key.algorithm` if
   * the stored key is for another algorithm: give a new key a new name.
   */
  static open(store: Store, name: string, options?: { alg?: SigningAlg | undefined }): Promise<DpopKey>
  /**
   * A key held elsewhere, by a key service (KMS), a hardware module (HSM) or WebCrypto, which signs. `publicJwk` is its
   * public half, as an object or JSON. `sign` is called for each proof and returns the signature in JWS format (RFC
   * 7518 section 3): for ES256 r and s, 32 bytes each, whereas key services often return DER. It has 30 seconds; if it
   * throws, the call that needed the signature fails with `lost.unsent`. `key.malformed` for an invalid public JWK,
   * `key.algorithm` for one that does not support `alg`.
   */
  static held(
    publicJwk: object | string,
    sign: (step: SignStep) => MaybePromise<Uint8Array | ArrayBuffer>,
    options?: { alg?: SigningAlg | undefined },
  ): DpopKey
  /** Contained in tokens that are bound to it: `jkt` (RFC 9449 section 6.1). */
  readonly thumbprint: string
  /** Its public half, as a JWK (RFC 7517). */
  publicJwk(): Record<string, unknown>
  /**
   * The key as PKCS#8 in PEM, to store like any secret: all that share it can share tokens. `misuse.setup` for one that
   * is held elsewhere.
   */
  privatePem(): string
}
