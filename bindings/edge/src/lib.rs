//! The module behind the npm package `oauth-core` where no addon can be loaded: Workers and edge runtimes. Its classes are
//! those of the addon, so that all the JavaScript of the package is one.

mod api;
mod claims_source;
mod client;
mod contexts;
mod dpop;
mod encrypted_key;
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

/// The `User-Agent` of requests that have none, as that of `oauth-reqwest`: Workers send none, and some APIs demand one.
#[wasm_bindgen(js_name = userAgent)]
pub fn user_agent() -> String {
    concat!("oauth-core/", env!("CARGO_PKG_VERSION")).to_owned()
}

/// The fingerprint of the interface between both halves of the package, which must be the same in both.
#[wasm_bindgen]
pub fn fingerprint() -> String {
    format!("{:016x}", oauth_facade::FINGERPRINT)
}
