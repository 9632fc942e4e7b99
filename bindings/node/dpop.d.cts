import type { SigningAlg } from './client-auth.cjs'
import type { MaybePromise, SignStep } from './index.cjs'
import type { Store } from './stores.cjs'

/** A private key that tokens are bound to (RFC 9449): whoever steals one has no use for it. It shows its thumbprint alone. */
export class DpopKey {
  /**
   * Out of PEM (PKCS#8, PKCS#1, SEC1) or a JWK. `alg` is the first that the key can sign by, unless it is given;
   * `passphrase` decrypts PKCS#8 with PBES2. `key.*` for what is no such key.
   */
  constructor(key: string, options?: { alg?: SigningAlg | undefined; passphrase?: string | undefined })
  /** A new key, in memory: tokens that are bound to it are of no use after a restart. */
  static generate(options?: { alg?: SigningAlg | undefined }): DpopKey
  /**
   * The key of this name in a store, which workers share as they share tokens; made by anyone who asks first. Without
   * `Sealed` it is in the store in the clear, as refresh tokens are. The name has at most 48 bytes. `key.algorithm` if
   * the stored key is for another algorithm: give a new key a new name.
   */
  static open(store: Store, name: string, options?: { alg?: SigningAlg | undefined }): Promise<DpopKey>
  /**
   * A key that is held elsewhere, by a key service (KMS), a hardware module (HSM) or WebCrypto, which signs. `publicJwk`
   * is its public half, as an object or JSON. `sign` is called for each proof and gives the signature in the form of
   * JWS (RFC 7518 section 3): for ES256 r and s, 32 bytes each, where key services often give DER. It has 30 seconds; if
   * it throws, the call that needed the signature fails with `lost.unsent`. `key.malformed` for what is no public JWK,
   * `key.algorithm` for one that does not sign by `alg`.
   */
  static held(
    publicJwk: object | string,
    sign: (step: SignStep) => MaybePromise<Uint8Array | ArrayBuffer>,
    options?: { alg?: SigningAlg | undefined },
  ): DpopKey
  /** What tokens that are bound to it hold: `jkt` (RFC 9449 section 6.1). */
  readonly thumbprint: string
  /** Its public half, as a JWK (RFC 7517). */
  publicJwk(): Record<string, unknown>
  /**
   * The key as PKCS#8 in PEM, to keep where secrets belong: all who share it share tokens. `misuse.setup` for one that
   * is held elsewhere.
   */
  privatePem(): string
}
