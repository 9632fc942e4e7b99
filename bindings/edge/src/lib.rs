//! The module behind the npm package `oauth-core` where no addon can be loaded: Workers and edge runtimes. Its classes are
//! those of the addon, so that all the JavaScript of the package is one.

mod api;
mod claims_source;
mod client;
mod contexts;
mod dpop;
mod error;
mod exchange;
mod held_key;
mod identity;
mod keeper;
mod keys;
mod logout;
mod moment;
mod plain;
mod seal;
mod server;
mod settings;
mod site;
mod tokens;
mod value;
mod verifier;
mod visit;

use wasm_bindgen::prelude::*;

/// The fingerprint of the operations, which must be the same in both halves of the package.
#[wasm_bindgen]
pub fn fingerprint() -> String {
    format!("{:016x}", oauth_facade::FINGERPRINT)
}
