//! `GET {origin}/.well-known/oauth-protected-resource{path}`: fetches the metadata of a protected resource.
//!
//! The document is parsed, and its `resource` compared with the requested one (section 3.3), in
//! `protected_resource_metadata.rs` at the root of the crate.
//!
//! RFC 9728 <https://www.rfc-editor.org/rfc/rfc9728#section-3>

use super::{Context, Endpoint, EndpointRequest, Reply};
use crate::error::{Error, ProtocolViolation};
use crate::http::StatusCode;
use crate::json::{Map, Value};
use crate::url::Url;

/// Fetches the metadata document. `ProtectedResourceMetadata` checks its `resource` (RFC 9728 section 3.3).
#[derive(Debug, Clone)]
pub(crate) struct ResourceMetadata {
    pub(crate) url: Url,
}

impl Endpoint for ResourceMetadata {
    const NAME: &'static str = "resource_metadata";
    type Output = Map<String, Value>;

    fn request(&self, _: &Context<'_>) -> Result<EndpointRequest, Error> {
        Ok(EndpointRequest::get(&self.url))
    }

    fn read(&self, _: &Context<'_>, reply: Reply<'_>) -> Result<Self::Output, Error> {
        // "A successful response MUST use the 200 OK HTTP status code" (section 3.2)
        if reply.status() != StatusCode::OK {
            return Err(reply.oauth_error());
        }
        let document = reply.object_or(ProtocolViolation::ResourceMetadataShape)?;
        Ok(document.to_map())
    }
}
