//! The algorithms that `oauth-core` leaves to its host, by aws-lc-rs.
//!
//! The core says what is to be verified ([`Step::Verify`](oauth_core::Step::Verify)), and [`verify`] answers.
//! The drivers of `oauth-reqwest` do so by themselves; a driver of your own needs one line:
//!
//! ```
//! use oauth_core::{Input, Step};
//!
//! fn answer<T>(step: &Step<T>) -> Option<Input> {
//!     match step {
//!         Step::Verify(job) => Some(Input::Verified(oauth_crypto::verify(job))),
//!         _ => None,
//!     }
//! }
//! ```
//!
//! | algorithms (RFC 7518, RFC 8037) | verify | sign |
//! | --- | --- | --- |
//! | ES256, ES384, ES512 | yes | yes |
//! | RS256, RS384, RS512, PS256, PS384, PS512: keys of 2048 to 8192 bits | yes | yes |
//! | EdDSA, and Ed25519 as its fully-specified name (RFC 9864) | yes | yes |
//! | HS256, HS384, HS512 | yes | yes |
//!
//! [`PrivateKey`] reads PEM (PKCS#1, PKCS#8, SEC1) and JWK, makes new keys, and hands the core a
//! [`SigningKey`](oauth_core::crypto::SigningKey).

#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod der;
mod private_key;
mod verify;

pub use private_key::{KeyError, PrivateKey};
pub use verify::{check_public_key, mac, verify};
