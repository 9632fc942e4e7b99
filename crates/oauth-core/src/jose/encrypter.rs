//! The interface of JWE encryption to a public key, and its inputs (RFC 7516 section 5.1). No algorithms are
//! implemented here.

use std::fmt;

use super::{Enc, EphemeralKey, JweAlg, PublicJwk};
use crate::secret::Secret;

/// Encrypts to public keys in this process.
pub trait Encrypter: Send + Sync {
    /// Creates a content encryption key, encrypted to the holder of the private half of `key`.
    ///
    /// # Errors
    /// If the key cannot be used.
    fn wrap(&self, alg: JweAlg, enc: Enc, key: &PublicJwk) -> Result<WrappedKey, EncryptionFailed>;

    /// Encrypts a content with its key. `additional_data` is the header in base64url, which is authenticated as well.
    ///
    /// # Errors
    /// If the key does not have the length that `enc` needs, or there is no randomness.
    fn encrypt(
        &self,
        enc: Enc,
        content_key: &Secret<Vec<u8>>,
        additional_data: &[u8],
        content: &[u8],
    ) -> Result<Encrypted, EncryptionFailed>;
}

/// A content encryption key, and the values with which the recipient recovers it.
#[derive(Debug)]
pub struct WrappedKey {
    /// The key itself.
    pub content_key: Secret<Vec<u8>>,
    /// The encrypted key; empty if the key is agreed on.
    pub encrypted_key: Vec<u8>,
    /// `epk`, for ECDH-ES.
    pub ephemeral_key: Option<EphemeralKey>,
}

/// An encrypted content.
#[derive(Debug)]
pub struct Encrypted {
    /// The initialization vector.
    pub iv: Vec<u8>,
    /// The ciphertext.
    pub ciphertext: Vec<u8>,
    /// The authentication tag.
    pub tag: Vec<u8>,
}

/// The encryption failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EncryptionFailed;

impl fmt::Display for EncryptionFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("encryption failed")
    }
}

impl std::error::Error for EncryptionFailed {}
