//! The authorization code flow: the authorization request, and the validation of its response. `state` is checked in
//! `authorization/pending.rs`, `iss` in `authorization/callback.rs`; the code is redeemed in `redeem.rs`, and `nonce`
//! is checked in
//! `token/id_token.rs`.
//!
//! RFC 6749 section 4.1, RFC 7636 (PKCE), RFC 9101 (signed requests), RFC 9126 (pushed requests), RFC 9207
//! (issuer in the callback), RFC 9700 section 2.1, JARM (signed responses).

mod begin;
mod callback;
mod connection_context;
mod entropy;
mod jarm;
mod pending;
mod prepare;
mod request;
pub(crate) mod request_object;
mod response_mode;
mod security_profile;
mod step_up_request;
#[cfg(all(test, feature = "sha2"))]
mod tests;
mod warning;

pub use begin::Authorization;
pub(crate) use begin::Begin;
pub use callback::{Callback, check_issuers};
pub use connection_context::{CallbackContext, ConnectionContext, check_contexts};
pub(crate) use entropy::FlowEntropy;
pub use entropy::HostGeneratedValues;
pub(crate) use jarm::claims_error;
pub use pending::PendingAuthorization;
pub(crate) use request::Pkce;
pub use request::{AuthorizationRequest, Push, has_place_in_device_grant};
pub use response_mode::{ResponseMode, ResponseType};
pub use warning::AuthorizationWarning;
