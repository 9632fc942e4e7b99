//! The interface of JWE decryption: the input of a [`Decrypter`]. The algorithms are in `jwe_alg.rs` (RFC 7518 sections
//! 4 and 5).

use std::fmt;

use super::jwe_alg::{Enc, JweAlg};
use crate::secret::Secret;

/// The curve of an ephemeral key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Curve {
    /// P-256
    P256,
    /// P-384
    P384,
    /// P-521
    P521,
    /// X25519 (RFC 8037 section 3.2)
    X25519,
}

impl Curve {
    /// The curve's name in a JWK (RFC 7518 section 6.2.1.1, RFC 8037 section 2).
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::P256 => "P-256",
            Self::P384 => "P-384",
            Self::P521 => "P-521",
            Self::X25519 => "X25519",
        }
    }
}

/// The sender's ephemeral key, `epk` (RFC 7518 section 4.6.1.1). The decrypter must check that its point is on its
/// curve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EphemeralKey {
    /// The key's curve.
    pub curve: Curve,
    /// `x`, with the length of the curve's coordinates.
    pub x: Vec<u8>,
    /// `y`, with the same length; empty for X25519.
    pub y: Vec<u8>,
}

/// Decrypts with a private key or a shared secret of this process.
pub trait Decrypter: Send + Sync {
    /// Decrypts the content. The plaintext is not authenticated: anyone who knows the public key can encrypt to it.
    ///
    /// # Errors
    /// One error for every reason, because an attacker who learns the reason can recover the plaintext (RFC 7516
    /// section 11.5).
    fn decrypt(&self, job: &DecryptionJob) -> Result<Secret<Vec<u8>>, DecryptionFailed>;

    /// The key's name, which the `kid` of a token may contain, if it has one.
    fn key_id(&self) -> Option<&str> {
        None
    }
}

/// A parsed JWE (RFC 7516 section 5.2), with its parts decoded.
#[derive(Clone)]
pub struct DecryptionJob {
    /// `alg`: how the content encryption key is conveyed.
    pub alg: JweAlg,
    /// `enc`: how the content is encrypted.
    pub enc: Enc,
    /// `epk`, for ECDH-ES.
    pub ephemeral_key: Option<EphemeralKey>,
    /// `apu`, for ECDH-ES (RFC 7518 section 4.6.1.2).
    pub apu: Vec<u8>,
    /// `apv`, for ECDH-ES.
    pub apv: Vec<u8>,
    /// `iv` of the header, for a key that is encrypted with AES GCM (RFC 7518 section 4.7.1.1).
    pub key_iv: Vec<u8>,
    /// `tag` of the header, for a key that is encrypted with AES GCM.
    pub key_tag: Vec<u8>,
    /// The encrypted key; empty if the key is agreed on or shared.
    pub encrypted_key: Vec<u8>,
    /// The additional authenticated data: the header as received, in base64url.
    pub additional_data: Vec<u8>,
    /// The initialization vector.
    pub iv: Vec<u8>,
    /// The ciphertext.
    pub ciphertext: Vec<u8>,
    /// The authentication tag.
    pub tag: Vec<u8>,
}

impl fmt::Debug for DecryptionJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DecryptionJob")
            .field("alg", &self.alg)
            .field("enc", &self.enc)
            .finish_non_exhaustive()
    }
}

/// The decryption failed; the reason is kept secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecryptionFailed;

impl fmt::Display for DecryptionFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("decryption failed")
    }
}

impl std::error::Error for DecryptionFailed {}
