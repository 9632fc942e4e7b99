//! `GET {issuer}/.well-known/...`: what the server says about itself.
//!
//! RFC 8414 <https://www.rfc-editor.org/rfc/rfc8414#section-3>,
//! OpenID Connect Discovery <https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderConfig>

#[cfg(test)]
mod tests;

use bytes::Bytes;
use http::{Response, StatusCode};

use super::{Draft, Endpoint, refusal, success};
use crate::error::{Error, Fault};
use crate::issuer::Issuer;
use crate::moment::Moment;
use crate::server::Server;
use crate::url::Url;

/// Fetches one metadata document of one issuer.
#[derive(Debug, Clone)]
pub struct Metadata {
    /// Whose document it must be.
    pub issuer: Issuer,
    /// Where to look.
    pub place: Url,
}

impl Endpoint for Metadata {
    const NAME: &'static str = "metadata";
    type Output = Server;

    fn draft(&self, server: &Server) -> Result<Draft, Error> {
        self.place.require(server.transport())?;
        Ok(Draft::get(&self.place))
    }

    fn read(&self, server: &Server, at: &Moment, reply: &Response<Bytes>) -> Result<Server, Error> {
        // "A successful response MUST use the 200 OK HTTP status code" (RFC 8414 section 3.2)
        if reply.status() != StatusCode::OK {
            return Err(refusal(server, at, reply));
        }
        let document = success(server, at, reply, Fault::MetadataShape)?;
        Server::read_over(
            &self.issuer,
            &document,
            server.rules().clone(),
            server.transport(),
        )
    }
}
