#![doc = include_str!("../README.md")]

mod key;
mod key_ring;
#[cfg(feature = "records")]
pub mod record;

pub use key::{Key, NONCE};
pub use key_ring::{Keys, OpenedText, Unopened};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

/// The SHA-256 of a purpose and of facts, as 43 characters of base64url: a name for a store or a cookie that reveals
/// nothing about facts that cannot be guessed. Each fact is hashed with its length, so no two lists give the same
/// input.
pub fn digest<'a>(purpose: &str, facts: impl IntoIterator<Item = &'a str>) -> String {
    let mut hash = Sha256::new();
    let mut add = |fact: &str| {
        hash.update((fact.len() as u64).to_be_bytes());
        hash.update(fact);
    };
    add(purpose);
    facts.into_iter().for_each(add);
    URL_SAFE_NO_PAD.encode(hash.finalize())
}

/// Bytes as base64url without padding (RFC 4648 section 5).
pub fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
