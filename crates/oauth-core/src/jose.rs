//! JSON Web Signature and Encryption: serializations, claims and public keys. No algorithms are implemented here.
//!
//! RFC 7515 (JWS), RFC 7516 (JWE), RFC 7517 (JWK), RFC 7518 (JWA), RFC 7519 (JWT), RFC 7638 (thumbprints).

pub(crate) mod claims;
mod decrypter;
mod encrypter;
mod encryption;
mod jwe;
mod jwe_alg;
mod jwk;
mod jws;
mod key_cache;
mod key_set;
mod unverified;
mod validity;

use crate::base64::{self, Alphabet};
use crate::secret::Secret;

pub use claims::Claims;
pub use decrypter::{Curve, Decrypter, DecryptionFailed, DecryptionJob, EphemeralKey};
pub use encrypter::{Encrypted, Encrypter, EncryptionFailed, WrappedKey};
pub(crate) use encryption::DecryptJwe;
pub use encryption::ResponseEncryption;
pub(crate) use encryption::decrypt_if_encrypted;
pub use jwe_alg::{Enc, JweAlg};
pub(crate) use jwk::PRIVATE_MEMBERS;
pub use jwk::PublicJwk;
#[cfg(feature = "sha2")]
pub use jwk::symmetric_thumbprint;
pub(crate) use jws::Jws;
pub(crate) use key_cache::{KeyCache, Lookup, OnUnknownKey};
pub use key_set::KeySet;
pub use unverified::Unverified;
pub use validity::CLOCK_SKEW;
pub(crate) use validity::Validity;

macro_rules! algorithms {
    ($($variant:ident $name:literal $bytes:expr, $text:literal)*) => {
        /// A signature algorithm. `none` cannot be represented.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Alg { $(#[doc = $text] $variant),* }

        impl Alg {
            /// Every algorithm that this crate knows.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The algorithm's name in a JWS header (RFC 7518 section 3.1).
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }

            /// The length of a signature in bytes, if the algorithm alone determines it.
            pub const fn signature_bytes(self) -> Option<usize> {
                match self { $(Self::$variant => $bytes),* }
            }
        }
    };
}

algorithms! {
    Es256 "ES256" Some(64), "ECDSA over P-256 with SHA-256."
    Es384 "ES384" Some(96), "ECDSA over P-384 with SHA-384."
    Es512 "ES512" Some(132), "ECDSA over P-521 with SHA-512."
    EdDsa "EdDSA" Some(64), "Ed25519 (RFC 8037)."
    Ed25519 "Ed25519" Some(64), "Ed25519, by its fully-specified name (RFC 9864)."
    Ps256 "PS256" None, "RSASSA-PSS with SHA-256."
    Ps384 "PS384" None, "RSASSA-PSS with SHA-384."
    Ps512 "PS512" None, "RSASSA-PSS with SHA-512."
    Rs256 "RS256" None, "RSASSA-PKCS1-v1_5 with SHA-256."
    Rs384 "RS384" None, "RSASSA-PKCS1-v1_5 with SHA-384."
    Rs512 "RS512" None, "RSASSA-PKCS1-v1_5 with SHA-512."
    Hs256 "HS256" Some(32), "HMAC with SHA-256, and a shared secret."
    Hs384 "HS384" Some(48), "HMAC with SHA-384, and a shared secret."
    Hs512 "HS512" Some(64), "HMAC with SHA-512, and a shared secret."
}

impl Hash {
    /// The hash's name (FIPS 180-4), which WebCrypto uses too.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sha256 => "SHA-256",
            Self::Sha384 => "SHA-384",
            Self::Sha512 => "SHA-512",
        }
    }
}

/// The hash that an algorithm uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Hash {
    /// SHA-256
    Sha256,
    /// SHA-384
    Sha384,
    /// SHA-512
    Sha512,
}

impl Alg {
    /// The algorithm with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|alg| alg.as_str() == name)
    }

    /// Whether the algorithm uses a shared secret, and never a public key.
    pub const fn is_symmetric(self) -> bool {
        matches!(self, Self::Hs256 | Self::Hs384 | Self::Hs512)
    }

    /// The hash that the algorithm uses, also for `at_hash` and `c_hash` (OpenID Connect Core section 3.1.3.6). Ed25519
    /// uses SHA-512 internally.
    pub const fn hash(self) -> Hash {
        match self {
            Self::Es256 | Self::Ps256 | Self::Rs256 | Self::Hs256 => Hash::Sha256,
            Self::Es384 | Self::Ps384 | Self::Rs384 | Self::Hs384 => Hash::Sha384,
            Self::Es512 | Self::Ps512 | Self::Rs512 | Self::Hs512 | Self::EdDsa | Self::Ed25519 => {
                Hash::Sha512
            }
        }
    }
}

/// The signing input (RFC 7515 section 5.1): two base64url strings and a dot.
pub(crate) fn signing_input(header: &str, claims: &str) -> String {
    format!("{}.{}", base64::url_safe(header), base64::url_safe(claims))
}

/// The bytes of an RSA signature, by a key of 2048 bits.
const RSA_SIGNATURE: usize = 256;

/// A header in base64url with the dot after it, for [`signing_input_after`]. It is the same for all tokens of a key.
#[cfg(feature = "sha2")]
pub(crate) fn encoded_header(header: &str) -> String {
    format!("{}.", base64::url_safe(header))
}

/// The signing input of these claims, with room for a signature of this algorithm. `beginning` is the encoded header, or
/// the header with the first claims, as many as are whole groups of three bytes.
pub(crate) fn signing_input_after(beginning: &str, claims: &str, alg: Alg) -> String {
    let signature = alg.signature_bytes().unwrap_or(RSA_SIGNATURE);
    let length = (claims.len().div_ceil(3) + signature.div_ceil(3)) * 4 + 1;
    let mut input = String::with_capacity(beginning.len() + length);
    input.push_str(beginning);
    base64::append(claims.as_bytes(), Alphabet::UrlSafe, &mut input);
    input
}

/// The compact serialization (RFC 7515 section 7.1).
pub(crate) fn compact(signing_input: &str, signature: &[u8]) -> Secret<String> {
    let mut text = String::with_capacity(signing_input.len() + 1 + signature.len() * 4 / 3 + 4);
    text.push_str(signing_input);
    append_signature(&mut text, signature);
    Secret::new(text)
}

/// Appends the last part of a compact serialization.
pub(crate) fn append_signature(signing_input: &mut String, signature: &[u8]) {
    signing_input.push('.');
    base64::append(signature, Alphabet::UrlSafe, signing_input);
}
