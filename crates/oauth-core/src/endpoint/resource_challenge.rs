//! `GET {resource}` without a token: reads the challenge of an API.
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

/// With what an API answers a stranger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answered {
    /// The values of `WWW-Authenticate`; none if it says nothing about tokens.
    Challenge(Vec<Vec<u8>>),
    /// With what was asked for, or with what else to ask for: it serves strangers.
    Served,
    /// With nothing that says whether it wants a token.
    Nothing,
}

impl Endpoint for ResourceChallenge {
    const NAME: &'static str = "resource";
    type Output = Answered;

    /// An API that wants no token of those who ask for JSON must not begin an event stream, which would never end.
    fn request(&self, _: &Context<'_>) -> Result<EndpointRequest, Error> {
        Ok(EndpointRequest::get(&self.resource).accept("application/json"))
    }

    fn read(&self, _: &Context<'_>, reply: Reply<'_>) -> Result<Self::Output, Error> {
        let fields = reply.headers().get_all(WWW_AUTHENTICATE).iter();
        let fields: Vec<_> = fields.map(|field| field.as_bytes().to_vec()).collect();
        let status = reply.status();
        Ok(match status {
            StatusCode::UNAUTHORIZED => Answered::Challenge(fields),
            // Method Not Allowed, Not Acceptable.
            status if matches!(status.as_u16(), 405 | 406) && fields.is_empty() => Answered::Served,
            _ if status.is_success() && fields.is_empty() => Answered::Served,
            _ => Answered::Nothing,
        })
    }
}
