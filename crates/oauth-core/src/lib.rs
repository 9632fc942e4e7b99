#![doc = include_str!("../README.md")]
//!
//! # Where to look
//!
//! [`Client`] is the entry point; [`exchange`] is all that the author of a driver needs to read;
//! [`endpoint`] and [`grant`] have one file for each message on the wire; [`error`] has the table
//! of codes; [`quirk`] the closed list of deviations; [`danger`] every unsafe switch; [`rationale`] explains the
//! reasons. [`CLAUSES.md`](https://github.com/oauth-core/oauth-core/blob/main/crates/oauth-core/CLAUSES.md) lists where
//! each section of each standard is implemented.

pub mod address;
pub mod assertion;
pub mod authorization_details;
mod base64;
mod breaker;
mod browser_build;
pub mod call;
mod certificate;
pub mod challenge;
pub mod client;
pub mod client_auth;
pub mod client_config;
mod client_id;
pub mod client_id_metadata_document;
pub mod client_metadata;
mod context;
pub mod crypto;
pub mod danger;
pub mod dpop;
mod duplicate_backchannel_request;
pub mod endpoint;
pub mod error;
pub mod exchange;
mod extension_grant;
pub mod extra;
pub mod flow;
pub mod form;
pub mod grant;
mod header;
#[cfg(all(feature = "js", target_family = "wasm"))]
#[allow(missing_docs)] // the names of another crate, whose documentation holds
pub mod http;
pub mod issuer;
pub mod jose;
pub mod json;
pub mod moment;
pub mod pkce;
pub mod protected_resource_metadata;
pub mod quirk;
pub mod rationale;
pub mod redirect_uri;
pub mod registered_client;
mod replay_cache;
pub mod request_encryption;
pub mod request_signing;
pub mod retry_after;
pub mod scope;
pub mod secret;
pub mod security_profile;
#[cfg_attr(not(feature = "renewals"), allow(dead_code, unreachable_pub))]
pub mod self_renewal;
pub mod server;
#[cfg(test)]
mod testing;
pub mod token;
pub mod url;
pub mod value;
pub mod workload;

/// HTTP messages: the `http` crate, or in browser builds a small replacement.
#[cfg(not(all(feature = "js", target_family = "wasm")))]
pub use ::http;
#[cfg(all(test, not(target_family = "wasm")))]
#[path = "http.rs"]
#[allow(dead_code, unreachable_pub)] // the page's own parts, tested where tests run
mod page_http;

pub use client::{
    Client, connect_resource, delete_registration, discover, discover_issuer, discover_resource,
    discover_with, read_registration, register, update_registration,
};
pub use client_auth::ClientAuth;
pub use client_id::ClientId;
pub use client_metadata::ClientMetadata;
pub use error::Error;
pub use exchange::{Exchange, ExchangeExt, Input, Step};
pub use flow::authorization::{AuthorizationRequest, PendingAuthorization};
pub use moment::Moment;
pub use registered_client::RegisteredClient;
pub use scope::Scope;
pub use secret::Secret;
pub use security_profile::SecurityProfile;
pub use token::Tokens;
