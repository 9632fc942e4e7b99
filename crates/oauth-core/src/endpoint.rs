//! The endpoints of an authorization server: one file each, with its request and how its response is read.
//!
//! A custom endpoint is as short as those of this crate; [`Client::call`] adds client authentication, signatures, one
//! retry for a DPoP nonce.
//!
//! ```
//! use oauth_core::endpoint::{Context, Endpoint, EndpointRequest, Reply};
//! use oauth_core::form::Form;
//! use oauth_core::server::EndpointKind;
//! use oauth_core::{Error, Secret};
//!
//! /// `POST {pushed_authorization_request_endpoint}` (RFC 9126 section 2.1).
//! struct Push {
//!     scope: String,
//! }
//!
//! impl Endpoint for Push {
//!     const NAME: &'static str = "pushed_authorization_request";
//!     type Output = Secret<String>;
//!
//!     fn request(&self, _: &Context<'_>) -> Result<EndpointRequest, Error> {
//!         let mut form = Form::new();
//!         form.push("scope", &self.scope);
//!         Ok(EndpointRequest::post(EndpointKind::PushedAuthorizationRequest, Self::NAME, form))
//!     }
//!
//!     fn read(&self, _: &Context<'_>, reply: Reply<'_>) -> Result<Self::Output, Error> {
//!         let object = reply.object()?;
//!         let uri = object.get("request_uri").and_then(|uri| uri.as_str());
//!         uri.map(Secret::from).ok_or_else(|| reply.malformed("request_uri"))
//!     }
//! }
//! ```
//!
//! [`Client::call`]: crate::Client::call

pub mod backchannel_authentication;
pub mod client_configuration;
pub mod device_authorization;
mod error_text;
pub mod introspection;
pub mod jwks;
pub mod metadata;
pub(crate) mod protected_resource_metadata;
pub(crate) mod pushed_authorization;
pub mod registration;
mod reply;
mod request;
pub(crate) mod resource_probe;
pub mod revocation;
pub mod token;
pub(crate) mod userinfo;
pub mod webfinger;

#[cfg(test)]
mod tests;

use crate::error::Error;

pub use crate::context::Context;
pub use reply::{MAX_REPLY, Reply};
pub use request::{Auth, Body, EndpointRequest, ProofOfPossession, Target};

/// One endpoint's request and reply. Implementations keep no state: [`crate::call::Call`] adds
/// client authentication, signatures and order.
pub trait Endpoint {
    /// Names the endpoint in errors and traces.
    const NAME: &'static str;

    /// The type of the result.
    type Output;

    /// The request, not yet authenticated.
    ///
    /// # Errors
    /// An error of [`Kind::Misuse`](crate::error::Kind::Misuse) if the request must not or cannot be sent.
    fn request(&self, cx: &Context<'_>) -> Result<EndpointRequest, Error>;

    /// Whether the same request may be sent again after an error. Not if the request consumes something, such as a
    /// code.
    fn can_repeat(&self) -> bool {
        true
    }

    /// Reads the reply by the server's rules.
    ///
    /// # Errors
    /// A refusal by the server, or a reply that breaks its rules.
    fn read(&self, cx: &Context<'_>, reply: Reply<'_>) -> Result<Self::Output, Error>;
}
