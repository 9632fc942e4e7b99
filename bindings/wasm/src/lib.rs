//! The browser's view of `oauth-core`: its machines, for the modules in `js/` to drive.
//!
//! Nothing here opens a connection, reads a clock, draws a random number or hashes: the page does
//! all four, the last two with WebCrypto, and the crate is built without any cryptography.

#![allow(unsafe_code, reason = "wasm-bindgen's macro writes it")]

mod api;
mod client;
mod error;
mod exchange;
mod js;
mod keeper;
mod server;
mod tokens;
mod value;

/// Small in code, and in constant time.
#[cfg(target_family = "wasm")]
#[global_allocator]
static ALLOCATOR: rlsf::SmallGlobalTlsf = rlsf::SmallGlobalTlsf::new();
