import type { SigningAlg } from './client-auth.cjs'
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
  /** What tokens that are bound to it hold: `jkt` (RFC 9449 section 6.1). */
  readonly thumbprint: string
  /** Its public half, as a JWK (RFC 7517). */
  publicJwk(): Record<string, unknown>
  /** The key as PKCS#8 in PEM, to keep where secrets belong: all who share it share tokens. */
  privatePem(): string
}
