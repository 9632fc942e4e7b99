// How a client authenticates, other than with a secret.

/**
 * How a client authenticates other than with a plain secret: the `clientAuth` of a client. It shows its
 * method, and nothing of the key.
 */
export interface ClientAuth {
  /** The registered name of the method. */
  readonly method: 'private_key_jwt' | 'client_secret_jwt'
}

/** A client that signs with a private key. */
export interface PrivateKeyAuth extends ClientAuth {
  readonly method: 'private_key_jwt'
  /**
   * The public halves of all keys as a JWK Set (RFC 7517 section 5): to register as `jwks`, or to serve at the client's
   * `jwks_uri`.
   */
  publicJwks(): { keys: Array<Record<string, string>> }
}

/** The algorithm of a private key (RFC 7518 section 3.1). */
export type SigningAlg =
  | 'ES256' | 'ES384' | 'ES512'
  | 'EdDSA' | 'Ed25519'
  | 'PS256' | 'PS384' | 'PS512'
  | 'RS256' | 'RS384' | 'RS512'

/** The algorithm of a shared secret (RFC 7518 section 3.1). */
export type MacAlg = 'HS256' | 'HS384' | 'HS512'

/** How the key of an encrypted token is transported (RFC 7518 section 4.1). */
export type JweAlg =
  | 'RSA-OAEP' | 'RSA-OAEP-256'
  | 'ECDH-ES' | 'ECDH-ES+A128KW' | 'ECDH-ES+A192KW' | 'ECDH-ES+A256KW'
  | 'A128KW' | 'A192KW' | 'A256KW'
  | 'A128GCMKW' | 'A192GCMKW' | 'A256GCMKW'
  | 'dir'

/** How the content of an encrypted token is encrypted (RFC 7518 section 5.1). */
export type Enc = 'A128CBC-HS256' | 'A192CBC-HS384' | 'A256CBC-HS512' | 'A128GCM' | 'A192GCM' | 'A256GCM'

export interface PrivateKeyJwtOptions {
  /** By default the first that both the key and the server support. */
  alg?: SigningAlg | undefined
  /** The key's name at the server. */
  kid?: string | undefined
  /** The base64url of the SHA-256 of the key's certificate (`x5t#S256`), for servers that find the key by it. */
  certificateThumbprint?: string | undefined
  /** The audience that the server requires in place of its issuer (RFC 10070): a key with one serves one server. */
  audience?: string | undefined
  /**
   * Decrypts encrypted keys, as `openssl genpkey -aes256` writes them (PKCS#8 with PBES2). Without one
   * {@link privateKeyJwt} throws `key.encrypted`, with a wrong one `key.passphrase`.
   */
  passphrase?: string | undefined
}

export interface ClientSecretJwtOptions {
  /** `HS256` by default. */
  alg?: MacAlg | undefined
  /** The audience that the server requires in place of its issuer, such as the URL of its token endpoint. */
  audience?: string | undefined
}

export interface AssertionOptions {
  /** The required audience of the token, and the only one; by default the server's issuer. */
  audience?: string | undefined
  /** `spiffe_jwt` for a JWT-SVID, whose subject is a SPIFFE ID. */
  profile?: 'jwt' | 'spiffe_jwt' | undefined
  /** Whether requests name the client too, as Microsoft Entra requires: by default `omitted`, of an exchange `sent`. */
  clientId?: 'omitted' | 'sent' | undefined
  /**
   * The token is exchanged for the client's own tokens (RFC 8693), those of `clientCredentials()`, for this audience,
   * and not sent in place of a key. Its own audience is `audience`, by default this one.
   */
  exchangeAudience?: string | undefined
}

/**
 * `private_key_jwt`: a JWT for each request, signed by a private key (RFC 7523 section 2.2). The key is PEM (PKCS#8,
 * PKCS#1, SEC1) or a JWK, or there are several, the newest first: the newest that the server supports signs, and each
 * is named by the `kid` of its JWK or otherwise by its thumbprint. Throws `key.malformed` for text that is not a private
 * key, `key.algorithm` for a key that is too short or does not support the algorithm, `client_auth.keys` for no key and for two
 * of one name, `arguments.inconsistent` for a `kid` of several; creating a client throws `key.algorithm` if the server supports
 * none of the key's algorithms, `key.used_at_two_servers` for a key that serves another server by this value; two values with the same key are not compared: use those only if the client has an id
 * of its own at each server. In Workers and edge runtimes WebCrypto signs.
 */
export function privateKeyJwt(key: string | readonly string[], options?: PrivateKeyJwtOptions): PrivateKeyAuth

/**
 * `client_secret_jwt`: a JWT for each request, with an HMAC of the secret (RFC 7523 section 2.2). The
 * secret is at least as long as the hash: `jws.key_too_small` otherwise.
 */
export function clientSecretJwt(secret: string, options?: ClientSecretJwtOptions): ClientAuth

/**
 * A service account of Google: `file` is the text of the JSON file from Google's console, and the `clientId` of the
 * client is its `client_email`. The client's own tokens, those of `clientCredentials()`, are the account's; with a
 * `subject` they are for this user, whose organization has allowed the account to act for its members. Throws
 * `provider.data` for an invalid file, `client_auth.key_file_path` for its path, `key.*` for an invalid key.
 */
export function serviceAccount(file: string, options?: { subject?: string | undefined }): ClientAuth

/**
 * A workload's token in place of a key (RFC 7521 section 4.2), as written by Kubernetes and SPIFFE helpers. The file is
 * read for each request, and a second time if the server refuses the token and it has been replaced meanwhile. A
 * request rejects with `client_auth.assertion_malformed`, `client_auth.assertion_expired`,
 * `client_auth.assertion_audience`, or `lost.unsent` if there is no token.
 */
export function assertionFile(path: string | URL, options?: AssertionOptions): ClientAuth

/** What an assertion is needed for. */
export interface AssertionRequest {
  /** The only audience (`aud`) that the assertion may have. */
  readonly audience: string
  /** Until when the assertion has to be valid, 60 seconds from now: the `exp` of one that is made for this request. */
  readonly expiresAt: Date
}

/**
 * An assertion from a function that returns the token, or a promise of it: from a metadata service, from another token
 * endpoint, or from a key of your own. The function is told what the token is needed for. It is called for each
 * request, and a second time if the server refuses the token. A request rejects with `lost.unsent` if the function throws,
 * with what it threw as `cause`, and if it takes longer than 30 seconds. A step that is taken manually, such as
 * `exchange.begin()`, cannot wait for a promise, and throws a `TypeError`: `run` can.
 */
export function assertionFunction(
  read: (request: AssertionRequest) => string | PromiseLike<string>,
  options?: AssertionOptions,
): ClientAuth

/** A platform that issues tokens to its workloads. */
export type Platform = 'kubernetes' | 'github_actions' | 'gitlab_ci' | 'spiffe' | 'aws' | 'azure' | 'gcp'

export interface WorkloadOptions {
  /** The file of the token: for `kubernetes` and `spiffe`, and in place of the one that `aws` and `azure` name. */
  path?: string | URL | undefined
  /** The environment variable of the token: for `gitlab_ci`. */
  variable?: string | undefined
  /** The required audience of the token: by default the server's issuer, for `azure` `api://AzureADTokenExchange`. */
  audience?: string | undefined
  /** Whether requests name the client too: by default `sent` for `azure` and `omitted` for others. */
  clientId?: 'omitted' | 'sent' | undefined
  /**
   * The token is exchanged for the client's own tokens (RFC 8693), for this audience, and not sent in place of a
   * secret.
   */
  exchangeAudience?: string | undefined
  /** Read in place of `process.env`. */
  env?: Record<string, string | undefined> | undefined
}

/**
 * The identity of a workload, by the token that its platform issues to it, in place of a key (RFC 7521 section 4.2).
 * The token is read again for each request, or requested again if a service issues it, as GitHub's does. A client
 * throws
 * `environment.missing`, which names the variable, and `workload.setup` for an unknown platform, or for a path or
 * variable that is missing or not used. A request rejects with `workload.refused`, `workload.malformed`, and as with
 * {@link assertionFile}.
 */
export function workloadIdentity(platform: Platform, options?: WorkloadOptions): ClientAuth
