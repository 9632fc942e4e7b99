#![doc = include_str!("../README.md")]
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod certificate;
mod client_assertion;
mod client_keys;
mod decrypt;
mod decryption_key;
mod der;
mod dpop;
mod encrypt;
mod encrypted_pem;
mod jwk;
mod private_key;
mod verify;

pub use certificate::certificate_thumbprint;
pub use client_assertion::{client_secret_auth, client_secret_jwt, client_signing_key};
pub use client_keys::ClientKeys;
pub use decryption_key::DecryptionKey;
pub use dpop::DpopKey;
pub use encrypt::PublicKeyEncrypter;
pub use encrypted_pem::decrypt_pem;
pub use private_key::{KeyError, PrivateKey};
pub use verify::{check_public_key, mac, verify};
