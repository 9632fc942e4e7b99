#![doc = include_str!("../README.md")]
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
