'use strict'

// Classifies the errors of `fetch` and other HTTP clients: whether the request was sent, and why there is no response.

/** The most errors examined in a chain of causes. */
const MAX_DEPTH = 8

/** The meaning of the error codes of Node.js, undici and OpenSSL: whether the request was sent, and why it got no response. */
const LOSSES = new Map([
  ...['ENOTFOUND', 'EAI_AGAIN', 'EAI_FAIL', 'EAI_NODATA', 'EAI_NONAME'].map((code) => [code, ['unsent', 'dns']]),
  ...['ECONNREFUSED', 'EHOSTUNREACH', 'ENETUNREACH', 'EADDRNOTAVAIL', 'UND_ERR_CONNECT_TIMEOUT']
    .map((code) => [code, ['unsent', 'connect']]),
  ...['UND_ERR_HEADERS_TIMEOUT', 'UND_ERR_BODY_TIMEOUT', 'ETIMEDOUT'].map((code) => [code, ['unknown', 'timeout']]),
  ...['ECONNRESET', 'EPIPE', 'UND_ERR_SOCKET', 'UND_ERR_CLOSED', 'UND_ERR_DESTROYED']
    .map((code) => [code, ['unknown', 'closed']]),
  // Certificates are verified before anything is sent.
  ...[
    'CERT_CHAIN_TOO_LONG', 'CERT_HAS_EXPIRED', 'CERT_NOT_YET_VALID', 'CERT_REJECTED', 'CERT_REVOKED',
    'CERT_SIGNATURE_FAILURE', 'CERT_UNTRUSTED', 'DEPTH_ZERO_SELF_SIGNED_CERT', 'ERR_TLS_CERT_ALTNAME_INVALID',
    'HOSTNAME_MISMATCH', 'INVALID_CA', 'INVALID_PURPOSE', 'SELF_SIGNED_CERT_IN_CHAIN',
    'UNABLE_TO_GET_ISSUER_CERT', 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY', 'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  ].map((code) => [code, ['unsent', 'tls']]),
])

function classify({ code, name }) {
  if (LOSSES.has(code)) return LOSSES.get(code)
  if (typeof code === 'string' && (code.startsWith('ERR_SSL_') || code.startsWith('ERR_TLS_'))) return ['unknown', 'tls']
  return name === 'TimeoutError' ? ['unknown', 'timeout'] : undefined
}

/** Whether the request was sent, and why it got no response, from the error that `fetch` threw. */
function classifyLoss(thrown) {
  let error = thrown
  for (let depth = 0; depth < MAX_DEPTH && error instanceof Error; depth += 1) {
    const classification = classify(error)
    // A deeper cause may be that of the last of several attempts, and an earlier attempt may have been sent.
    if (classification) return { delivery: depth <= 1 ? classification[0] : 'unknown', loss: classification[1] }
    error = error.cause
  }
  return { delivery: 'unknown', loss: undefined }
}

module.exports = { classifyLoss }
