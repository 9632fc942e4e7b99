//! `POST {registration_endpoint}`: registers the client.
//!
//! RFC 7591 <https://www.rfc-editor.org/rfc/rfc7591#section-3>. The members of the response are checked in
//! `registered_client/response.rs`; the error codes of section 3.2.2 are in `error/server_error.rs`.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::http::{Method, StatusCode};

use super::{Auth, Body, Context, Endpoint, EndpointRequest, Reply};
use crate::client_metadata::ClientMetadata;
use crate::error::{Error, ProtocolViolation};
use crate::registered_client::{RegisteredClient, RegistrationContext};
use crate::secret::Secret;
use crate::server::EndpointKind;
use crate::token::Tokens;

/// Registers a client at the server, which issues it an id, and a secret if it needs one.
///
/// If the reply is lost, the server may keep a client that no application uses.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Registration {
    /// The client's metadata.
    pub metadata: ClientMetadata,
    /// The initial access token, if the server does not let every client register (section 3).
    pub initial_access_token: Option<Secret<String>>,
}

impl Registration {
    /// A registration with this metadata, at a server that lets every client register.
    pub const fn new(metadata: ClientMetadata) -> Self {
        Self {
            metadata,
            initial_access_token: None,
        }
    }

    /// Adds an initial access token (RFC 7591 section 3).
    #[must_use]
    pub fn initial_access_token(mut self, token: impl Into<Option<Secret<String>>>) -> Self {
        self.initial_access_token = token.into();
        self
    }
}

impl From<ClientMetadata> for Registration {
    fn from(metadata: ClientMetadata) -> Self {
        Self::new(metadata)
    }
}

impl Endpoint for Registration {
    const NAME: &'static str = "registration";
    type Output = RegisteredClient;

    fn request(&self, _: &Context<'_>) -> Result<EndpointRequest, Error> {
        self.metadata.check()?;
        let request = EndpointRequest::new(Method::POST, EndpointKind::Registration)
            .body(Body::Json(self.metadata.to_json()));
        Ok(match &self.initial_access_token {
            Some(token) => request.auth(Auth::Token(Arc::new(Tokens::bearer(token.clone())))),
            None => request,
        })
    }

    fn read(&self, cx: &Context<'_>, reply: Reply<'_>) -> Result<RegisteredClient, Error> {
        // "responds with an HTTP 201 Created status code" (RFC 7591 section 3.2.1)
        let shape_error = ProtocolViolation::RegistrationShape;
        let object = reply.object_with_status_or(StatusCode::CREATED, shape_error)?;
        RegisteredClient::read(
            cx.server,
            object,
            RegistrationContext::Requested(&self.metadata),
        )
    }
}
