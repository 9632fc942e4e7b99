//! The Node.js package `oauth-core`, native half.
//!
//! Whatever is decided here is decided by the crates below: `oauth-facade` for exchanges and
//! resource requests, `oauth-session` for stores, `oauth-reqwest` for sockets. This crate turns
//! their values into JavaScript's and back. The other half is `js/`, which users see.
//!
//! No thread is started before the first request.

// Tested from JavaScript alone: a test build exports nothing.
#![cfg(not(test))]

mod api;
mod assertion_callback;
mod authorization;
mod built_in_stores;
mod claims_source;
mod client;
mod connection;
mod contexts;
mod dpop;
mod error;
mod exchange;
mod fixed_token;
mod held_key;
mod identity;
mod js_callbacks;
mod keeper;
mod keys;
mod listener;
mod logout;
mod network;
mod runtime;
mod server;
mod settings;
mod tokens;
mod value;
mod verifier;
mod web;
mod web_forward;
mod web_visit;

/// The fingerprint of the interface between both halves of the package, which must be the same in both.
#[napi_derive::napi]
pub fn fingerprint() -> String {
    format!("{:016x}", oauth_facade::FINGERPRINT)
}
