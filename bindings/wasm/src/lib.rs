//! The WebAssembly module of the browser package: the state machines of `oauth-core`, which the modules in `js/` drive.
//!
//! It opens no connection, reads no clock, and contains no cryptography: the page does all that, random numbers, hashes
//! and signatures with WebCrypto.

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
