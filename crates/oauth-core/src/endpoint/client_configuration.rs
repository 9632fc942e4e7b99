//! `GET`, `PUT` and `DELETE {registration_client_uri}`: reads, updates and deletes a client's registration.
//!
//! RFC 7592 <https://www.rfc-editor.org/rfc/rfc7592#section-2>. A response replaces the stored registration, including
//! a rotated registration access token (section 3): `registered_client/response.rs`.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::http::{Method, StatusCode};

use super::{Auth, Body, Context, Endpoint, EndpointRequest, Reply};
use crate::client_metadata::ClientMetadata;
use crate::error::{Error, ProtocolViolation};
use crate::registered_client::{RegisteredClient, RegistrationContext};
use crate::token::Tokens;

/// Reads the registration of a client. The response replaces what is stored: the server may have changed
/// the registration access token, the secret, or anything else.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ReadRegistration {
    /// The client.
    pub client: RegisteredClient,
}

/// Replaces the registration of a client. The response replaces what is stored.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct UpdateRegistration {
    /// The client.
    pub client: RegisteredClient,
    /// The complete new metadata: an omitted member is removed, or gets the server's default.
    pub metadata: ClientMetadata,
}

/// Deletes a client at the server, with its grants and tokens. It consumes the client: delete the stored record too.
#[derive(Debug)]
#[non_exhaustive]
pub struct DeleteRegistration {
    /// The client.
    pub client: RegisteredClient,
}

impl ReadRegistration {
    /// A request for this client's registration.
    pub const fn new(client: RegisteredClient) -> Self {
        Self { client }
    }
}

impl UpdateRegistration {
    /// Replaces the registered metadata with this.
    pub const fn new(client: RegisteredClient, metadata: ClientMetadata) -> Self {
        Self { client, metadata }
    }
}

impl DeleteRegistration {
    /// A request to delete this client's registration.
    pub const fn new(client: RegisteredClient) -> Self {
        Self { client }
    }
}

impl Endpoint for ReadRegistration {
    const NAME: &'static str = "client_configuration";
    type Output = RegisteredClient;

    fn request(&self, cx: &Context<'_>) -> Result<EndpointRequest, Error> {
        management_request(cx, &self.client, Method::GET)
    }

    fn read(&self, cx: &Context<'_>, reply: Reply<'_>) -> Result<RegisteredClient, Error> {
        let object = reply.object_or(ProtocolViolation::RegistrationShape)?;
        RegisteredClient::read(cx.server, object, RegistrationContext::Known(&self.client))
    }
}

impl Endpoint for UpdateRegistration {
    const NAME: &'static str = "client_configuration";
    type Output = RegisteredClient;

    fn request(&self, cx: &Context<'_>) -> Result<EndpointRequest, Error> {
        self.metadata.check()?;
        // "the client MUST include its client_id ... and MUST NOT include the registration_access_token,
        // registration_client_uri, client_secret_expires_at, or client_id_issued_at" (section 2.2)
        let id = self.client.client_id.as_str();
        let body = self.metadata.to_json_with_id(Some(id));
        Ok(management_request(cx, &self.client, Method::PUT)?.body(Body::Json(body)))
    }

    fn read(&self, cx: &Context<'_>, reply: Reply<'_>) -> Result<RegisteredClient, Error> {
        let object = reply.object_or(ProtocolViolation::RegistrationShape)?;
        let previous = RegistrationContext::Replaced(&self.client, &self.metadata);
        RegisteredClient::read(cx.server, object, previous)
    }
}

impl Endpoint for DeleteRegistration {
    const NAME: &'static str = "client_configuration";
    type Output = ();

    fn request(&self, cx: &Context<'_>) -> Result<EndpointRequest, Error> {
        management_request(cx, &self.client, Method::DELETE)
    }

    fn read(&self, cx: &Context<'_>, reply: Reply<'_>) -> Result<(), Error> {
        // "If a client has been successfully deprovisioned, the authorization server MUST respond with an HTTP
        // 204 No Content message" (section 2.3)
        let is_deleted = if cx.server.rules().is_strict() {
            reply.status() == StatusCode::NO_CONTENT
        } else {
            reply.status().is_success()
        };
        if is_deleted {
            Ok(())
        } else {
            Err(reply.oauth_error())
        }
    }
}

/// A request to the URL where this client is managed, with its registration access token.
fn management_request(
    cx: &Context<'_>,
    client: &RegisteredClient,
    method: Method,
) -> Result<EndpointRequest, Error> {
    client.check_server(cx.server)?;
    let (uri, token) = client.management()?;
    let token = Arc::new(Tokens::bearer(token.clone()));
    Ok(EndpointRequest::new(method, uri).auth(Auth::Token(token)))
}
