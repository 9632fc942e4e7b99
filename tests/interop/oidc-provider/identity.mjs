// Identity beyond plain ID tokens: encrypted ones, UserInfo and introspection as JWTs,
// logout through both channels, and access tokens that an API reads by itself.
import { keyPair } from './keys.mjs'

/** The API whose access tokens are JWTs. */
export const api = 'https://api.example/'
/** The API whose access tokens are encrypted. */
const sealedApi = 'https://sealed.example/'
const sealing = keyPair('ec', { namedCurve: 'P-256' })

const secret = 'a client secret, of which keys are derived'

// A curve for each key agreement algorithm.
const curves = {
  'ECDH-ES': ['ec', { namedCurve: 'P-256' }],
  'ECDH-ES+A128KW': ['ec', { namedCurve: 'P-384' }],
  'ECDH-ES+A192KW': ['ec', { namedCurve: 'P-521' }],
  'ECDH-ES+A256KW': ['x25519', {}],
}
const encryptionAlgs = [
  'RSA-OAEP', 'RSA-OAEP-256', ...Object.keys(curves),
  'A128KW', 'A192KW', 'A256KW', 'A128GCMKW', 'A192GCMKW', 'A256GCMKW', 'dir',
]
const encs = ['A128CBC-HS256', 'A192CBC-HS384', 'A256CBC-HS512', 'A128GCM', 'A192GCM', 'A256GCM']

/**
 * Clients, in the shape of server.mjs; `rsa` is the key pair that those with an RSA key share, and `signing` the
 * algorithms of which each has a client "signed-ALG". A web application at `site` is the client "site".
 */
export function identityClients(rsa, signing, backchannelLogoutUri, site) {
  const keys = { 'RSA-OAEP': rsa, 'RSA-OAEP-256': rsa }
  for (const [alg, kind] of Object.entries(curves)) keys[alg] = keyPair(...kind)
  const registered = { token_endpoint_auth_method: 'client_secret_basic' }
  const client = (client_id, metadata) => ({ client_id, client_secret: secret, registered: { ...registered, ...metadata } })
  const jwk = (alg, half) => ({ ...keys[alg][half].export({ format: 'jwk' }), kid: 'ours', use: 'enc', alg })
  const decrypting = (client_id, alg, metadata) => (keys[alg]
    ? { ...client(client_id, { ...metadata, jwks: { keys: [jwk(alg, 'publicKey')] } }), decryption_key: jwk(alg, 'privateKey') }
    : client(client_id, metadata))
  const signed = (response, alg) => ({ [`${response}_signed_response_alg`]: alg })
  const encrypted = (response, alg, enc) => ({
    [`${response}_encrypted_response_alg`]: alg,
    [`${response}_encrypted_response_enc`]: enc,
  })
  // No native ones: to those this server gives nothing without a person (`prompt=none`).
  const web = { application_type: 'web', post_logout_redirect_uris: ['http://127.0.0.1/signed-out'] }
  const logout = backchannelLogoutUri
    ? { ...web, backchannel_logout_uri: backchannelLogoutUri, backchannel_logout_session_required: true }
    : web
  const ofSite = site && {
    application_type: 'web',
    redirect_uris: [`${site}/auth/callback`],
    post_logout_redirect_uris: [`${site}/auth/logout/done`],
    backchannel_logout_uri: `${site}/auth/backchannel-logout`,
    backchannel_logout_session_required: true,
  }
  const alg = 'ECDH-ES'
  const sealed = (response) => encrypted(response, alg, 'A256GCM')
  return [
    // This server only encrypts signed responses.
    ...encryptionAlgs.flatMap((alg) => encs.map((enc) => decrypting(`id-token-${alg}-${enc}`, alg, {
      ...signed('userinfo', 'ES256'), ...signed('introspection', 'ES256'),
      ...encrypted('id_token', alg, enc), ...encrypted('userinfo', alg, enc), ...encrypted('introspection', alg, enc),
    }))),
    ...signing.map((alg) => ({
      ...client(`signed-${alg}`, { ...signed('id_token', alg), ...signed('userinfo', alg), ...signed('introspection', alg) }),
      client_secret: 'a client secret of more than 64 bytes, which keys the longest of the hashes: SHA-512',
    })),
    client('userinfo-signed', { userinfo_signed_response_alg: 'ES256' }),
    decrypting('userinfo-both', alg, { userinfo_signed_response_alg: 'PS256', ...sealed('userinfo') }),
    client('introspection-signed', { introspection_signed_response_alg: 'ES256' }),
    decrypting('introspection-both', alg, { introspection_signed_response_alg: 'EdDSA', ...sealed('introspection') }),
    client('hybrid', {
      response_types: ['code id_token'],
      grant_types: ['authorization_code', 'refresh_token', 'implicit'],
    }),
    client('logout', logout),
    ...(site ? [client('site', ofSite)] : []),
    { ...client('sealed-api', {}), decryption_key: { ...sealing.privateKey.export({ format: 'jwk' }), kid: 'sealing' } },
    decrypting('logout-encrypted', alg, { ...logout, ...sealed('id_token') }),
  ]
}

/** The algorithms that these clients are registered with. */
export const identityAlgs = (signing) => ({
  userinfoSigningAlgValues: signing,
  introspectionSigningAlgValues: signing,
  idTokenEncryptionAlgValues: encryptionAlgs,
  userinfoEncryptionAlgValues: encryptionAlgs,
  introspectionEncryptionAlgValues: encryptionAlgs,
  idTokenEncryptionEncValues: encs,
  userinfoEncryptionEncValues: encs,
  introspectionEncryptionEncValues: encs,
})

export const identityFeatures = {
  encryption: { enabled: true },
  jwtUserinfo: { enabled: true },
  jwtIntrospection: { enabled: true },
  backchannelLogout: { enabled: true },
  rpInitiatedLogout: {
    enabled: true,
    // Clients without JavaScript press the button.
    logoutSource: (ctx, form) => { ctx.body = form },
    postLogoutSuccessSource: (ctx) => { ctx.body = 'signed out' },
  },
  resourceIndicators: {
    enabled: true,
    defaultResource: () => undefined,
    getResourceServerInfo: (ctx, resource) => {
      const encrypt = { alg: 'ECDH-ES', enc: 'A256GCM', key: sealing.publicKey, kid: 'sealing' }
      const jwt = { sign: { alg: 'ES256' }, ...(resource === sealedApi ? { encrypt } : {}) }
      return { audience: resource === sealedApi ? sealedApi : api, scope: 'read', accessTokenFormat: 'jwt', jwt }
    },
  },
}

// The provider refuses to call loopback addresses by a dispatcher of its own.
export const fetchAnywhere = (url, { dispatcher: _, ...options }) => fetch(url, options)
