//! `GET {issuer}/.well-known/...`: fetches the server's metadata. Its `issuer` is compared with the expected one
//! (section 3.3) in `server.rs`; the URLs (section 3.1) are made in `issuer.rs`.
//!
//! RFC 8414 <https://www.rfc-editor.org/rfc/rfc8414#section-3>,
//! OpenID Connect Discovery <https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderConfig>

#[cfg(test)]
mod tests;

use crate::http::StatusCode;

use super::{Context, Endpoint, EndpointRequest, Reply};
use crate::error::{Error, ProtocolViolation};
use crate::issuer::Issuer;
use crate::server::Server;
use crate::url::Url;

/// Fetches one metadata document of one issuer.
#[derive(Debug, Clone)]
pub struct Metadata {
    issuer: Issuer,
    place: Url,
}

impl Metadata {
    /// Fetches the metadata document of `issuer` from the URL `place`. Both are then fixed.
    pub const fn new(issuer: Issuer, place: Url) -> Self {
        Self { issuer, place }
    }
}

impl Endpoint for Metadata {
    const NAME: &'static str = "metadata";
    type Output = Server;

    fn request(&self, _: &Context<'_>) -> Result<EndpointRequest, Error> {
        Ok(EndpointRequest::get(&self.place))
    }

    fn read(&self, cx: &Context<'_>, reply: Reply<'_>) -> Result<Server, Error> {
        // "A successful response MUST use the 200 OK HTTP status code" (RFC 8414 section 3.2)
        if reply.status() != StatusCode::OK {
            return Err(reply.oauth_error());
        }
        let document = reply.object_of(ProtocolViolation::MetadataShape)?;
        Server::read_over(
            &self.issuer,
            &document,
            cx.server.rules().clone(),
            cx.server.transport(),
        )
        .map(|server| {
            let own = cx.server.configured_origin().cloned();
            server
                .with_address_policy(cx.server.address_policy())
                .with_configured_origin(own)
        })
    }
}
