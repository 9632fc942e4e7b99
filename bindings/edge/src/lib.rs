//! The WebAssembly module of the npm package `oauth-core` for Workers and edge runtimes, which cannot load the native
//! addon. It has the same classes as the addon, so that both share the package's JavaScript.

mod api;
mod claims_source;
mod client;
mod contexts;
mod dpop;
mod encrypted_key;
mod error;
mod exchange;
mod grants;
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

/// The fingerprint of the operations, which must be the same in JavaScript and here.
#[wasm_bindgen]
pub fn fingerprint() -> String {
    format!("{:016x}", oauth_facade::FINGERPRINT)
}
