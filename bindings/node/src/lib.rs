//! The native half of the Node.js package `oauth-core`: converts values between JavaScript and the Rust crates.
//!
//! This crate decides nothing itself: `oauth-facade` implements exchanges and resource requests, `oauth-session`
//! stores, and `oauth-reqwest` the network. The other half is `js/`, which users see.
//!
//! No thread is started before the first request.

// Tested only from JavaScript: a test build exports nothing.
#![cfg(not(test))]

mod api;
mod assertion_callback;
mod authorization;
mod built_in_stores;
mod claims_source;
mod client;
mod client_auth;
mod connection;
mod contexts;
mod dpop;
mod error;
mod exchange;
mod fixed_token;
mod grants;
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
mod web_begun;
mod web_forward;
mod web_visit;

/// The fingerprint of the operations, which must be the same in both halves of the package.
#[napi_derive::napi]
pub fn fingerprint() -> String {
    format!("{:016x}", oauth_facade::FINGERPRINT)
}
