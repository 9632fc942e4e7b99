//! `GET {issuer}/.well-known/...`: builds the well-known URLs (section 3.1), and fetches the server's metadata. Its
//! `issuer` is compared with the expected one (section 3.3) where the document is parsed, in `server.rs`; the order of
//! the URLs, and which failures lead to the next, are in `flow/discovery.rs`. The optional `signed_metadata` (section
//! 2.1) is not read.
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

/// The kinds of metadata document that a server may publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum WellKnown {
    /// RFC 8414 section 3.1: `oauth-authorization-server`, put before the issuer's path.
    AuthorizationServer,
    /// RFC 8414 section 5: `openid-configuration`, put before the issuer's path.
    OpenIdInserted,
    /// OpenID Connect Discovery section 4: `openid-configuration`, appended to the issuer's path.
    OpenIdAppended,
    /// `oauth-authorization-server` appended to the issuer's path: not in any standard, but used by Okta and others.
    /// Tried last.
    AuthorizationServerAppended,
}

impl WellKnown {
    /// The standard URLs, in the order in which they are tried; an issuer without a path has two.
    pub const ORDER: [Self; 3] = [
        Self::AuthorizationServer,
        Self::OpenIdInserted,
        Self::OpenIdAppended,
    ];
}

impl Issuer {
    /// The URL of a metadata document of this kind.
    pub fn well_known(&self, kind: WellKnown) -> Url {
        let issuer = self.url();
        let origin = self.as_str().strip_suffix(issuer.path());
        let origin = origin.unwrap_or_default();
        // "any terminating "/" MUST be removed" (RFC 8414 section 3.1)
        let path = issuer.path().strip_suffix('/').unwrap_or(issuer.path());
        let text = match kind {
            WellKnown::AuthorizationServer => {
                format!("{origin}/.well-known/oauth-authorization-server{path}")
            }
            WellKnown::OpenIdInserted => format!("{origin}/.well-known/openid-configuration{path}"),
            WellKnown::AuthorizationServerAppended => {
                format!("{origin}{path}/.well-known/oauth-authorization-server")
            }
            WellKnown::OpenIdAppended => format!("{origin}{path}/.well-known/openid-configuration"),
        };
        // Only characters of a URL that has already been parsed are combined here.
        Url::parse(&text).unwrap_or_else(|_| issuer.clone())
    }

    /// All standard metadata URLs, in order, each once.
    pub fn well_known_urls(&self) -> Vec<Url> {
        let mut urls = Vec::with_capacity(3);
        for kind in WellKnown::ORDER {
            let url = self.well_known(kind);
            if !urls.contains(&url) {
                urls.push(url);
            }
        }
        urls
    }
}

/// Fetches one metadata document of one issuer.
#[derive(Debug, Clone)]
pub struct Metadata {
    issuer: Issuer,
    url: Url,
}

impl Metadata {
    /// Fetches the metadata document of `issuer` from `url`. Both are then fixed.
    pub const fn new(issuer: Issuer, url: Url) -> Self {
        Self { issuer, url }
    }
}

impl Endpoint for Metadata {
    const NAME: &'static str = "metadata";
    type Output = Server;

    fn request(&self, _: &Context<'_>) -> Result<EndpointRequest, Error> {
        Ok(EndpointRequest::get(&self.url))
    }

    fn read(&self, cx: &Context<'_>, reply: Reply<'_>) -> Result<Server, Error> {
        // "A successful response MUST use the 200 OK HTTP status code" (RFC 8414 section 3.2,
        // OpenID Connect Discovery section 4.2)
        if reply.status() != StatusCode::OK {
            return Err(reply.oauth_error());
        }
        let document = reply.object_or(ProtocolViolation::MetadataShape)?;
        Server::read_over(
            &self.issuer,
            &document,
            cx.server.rules().clone(),
            cx.server.transport(),
        )
        .map(|server| {
            let configured_origin = cx.server.configured_origin().cloned();
            server
                .with_address_policy(cx.server.address_policy())
                .with_configured_origin(configured_origin)
        })
    }
}
