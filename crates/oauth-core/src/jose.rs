//! JSON Web Signatures as texts, and public keys; no algorithms.
//!
//! RFC 7515 (JWS), RFC 7517 (JWK), RFC 7518 (JWA), RFC 7638 (thumbprints).

mod jwk;

use crate::base64::{self, Alphabet};
use crate::secret::Secret;

pub use jwk::PublicJwk;

macro_rules! algorithms {
    ($($variant:ident $name:literal $bytes:expr, $text:literal)*) => {
        /// An algorithm that signs with a private key. One that signs with a shared secret, and `none`,
        /// cannot be said.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Alg { $(#[doc = $text] $variant),* }

        impl Alg {
            /// Every algorithm this crate knows.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// Its name in a JWS header (RFC 7518 section 3.1).
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }

            /// How long each of its signatures is, in bytes, where the algorithm alone says so.
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
    Ps256 "PS256" None, "RSASSA-PSS with SHA-256."
    Ps384 "PS384" None, "RSASSA-PSS with SHA-384."
    Ps512 "PS512" None, "RSASSA-PSS with SHA-512."
    Rs256 "RS256" None, "RSASSA-PKCS1-v1_5 with SHA-256."
    Rs384 "RS384" None, "RSASSA-PKCS1-v1_5 with SHA-384."
    Rs512 "RS512" None, "RSASSA-PKCS1-v1_5 with SHA-512."
}

impl Alg {
    /// The algorithm of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|alg| alg.as_str() == name)
    }
}

/// What is signed (RFC 7515 section 5.1): two base64url texts and a dot.
pub(crate) fn signing_input(header: &str, claims: &str) -> String {
    format!("{}.{}", base64::url_safe(header), base64::url_safe(claims))
}

/// The compact serialization (RFC 7515 section 7.1).
pub(crate) fn compact(signing_input: &str, signature: &[u8]) -> Secret<String> {
    let mut text = String::with_capacity(signing_input.len() + 1 + signature.len() * 4 / 3 + 4);
    text.push_str(signing_input);
    text.push('.');
    base64::append(signature, Alphabet::UrlSafe, &mut text);
    Secret::new(text)
}
