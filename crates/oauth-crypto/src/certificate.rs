//! The thumbprint of a client certificate.

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The thumbprint of this certificate, in DER, by which tokens name it (`x5t#S256`): "the base64url-encoded SHA-256
/// hash" of it (RFC 8705 section 3.1).
pub fn certificate_thumbprint(der: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, der))
}
