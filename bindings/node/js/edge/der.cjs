'use strict'

// Constants for private keys in DER (X.690): tags, object identifiers, and the order of RSA numbers.

const TAGS = {
  INTEGER: 0x02,
  BIT_STRING: 0x03,
  OCTET_STRING: 0x04,
  NULL: 0x05,
  OBJECT_IDENTIFIER: 0x06,
  SEQUENCE: 0x30,
  /** `[0]` and `[1]`, constructed; and `[1]` as an implicitly tagged bit string. */
  CONTEXT_0: 0xa0,
  CONTEXT_1: 0xa1,
  CONTEXT_1_BIT_STRING: 0x81,
}

/** The object identifiers of key types and curves, in hexadecimal (RFC 8017, RFC 5480, RFC 8410). */
const IDENTIFIERS = {
  RSA: '2a864886f70d010101', EC: '2a8648ce3d0201', OKP: '2b6570',
  'P-256': '2a8648ce3d030107', 'P-384': '2b81040022', 'P-521': '2b81040023',
}

/** The numbers of a private RSA key in a JWK (RFC 7518 section 6.3), in the order of DER (RFC 8017 appendix A.1.2). */
const RSA_MEMBERS = ['n', 'e', 'd', 'p', 'q', 'dp', 'dq', 'qi']

module.exports = { IDENTIFIERS, RSA_MEMBERS, TAGS }
