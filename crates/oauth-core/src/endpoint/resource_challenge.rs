//! `GET {resource}` without a token: with what an API answers a stranger.
//!
//! RFC 9728 <https://www.rfc-editor.org/rfc/rfc9728#section-5>

use super::{Context, Endpoint, EndpointRequest, Reply};
use crate::error::Error;
use crate::http::StatusCode;
use crate::http::header::WWW_AUTHENTICATE;
use crate::url::Url;

/// Asks an API for its challenge. Nothing of the client is sent.
#[derive(Debug, Clone)]
pub(crate) struct ResourceChallenge {
    pub(crate) resource: Url,
}

impl Endpoint for ResourceChallenge {
    const NAME: &'static str = "resource";
    /// The values of `WWW-Authenticate`; none if the API says nothing about tokens.
    type Output = Vec<Vec<u8>>;

    /// An API that wants no token of those who ask for JSON must not begin an event stream, which would never end.
    fn request(&self, _: &Context<'_>) -> Result<EndpointRequest, Error> {
        Ok(EndpointRequest::get(&self.resource).accept("application/json"))
    }

    fn read(&self, _: &Context<'_>, reply: Reply<'_>) -> Result<Self::Output, Error> {
        if reply.status() != StatusCode::UNAUTHORIZED {
            return Ok(Vec::new());
        }
        let fields = reply.headers().get_all(WWW_AUTHENTICATE).iter();
        Ok(fields.map(|field| field.as_bytes().to_vec()).collect())
    }
}
