//! `GET {resource}` without a token, to learn whether an API requires one and what its challenge says. The challenge to
//! a request with a token is evaluated in `flow/resource/challenge_verdict.rs`.
//!
//! RFC 9728 <https://www.rfc-editor.org/rfc/rfc9728#section-5>

use super::{Context, Endpoint, EndpointRequest, Reply};
use crate::error::Error;
use crate::http::StatusCode;
use crate::http::header::WWW_AUTHENTICATE;
use crate::url::Url;

/// Requests an API without a token, to get its challenge. No value of the client is sent.
#[derive(Debug, Clone)]
pub(crate) struct ResourceProbe {
    pub(crate) resource: Url,
}

/// How an API responds to a request without a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ProbeResult {
    /// The values of `WWW-Authenticate`; empty if the reply has no challenge.
    Challenge(Vec<Vec<u8>>),
    /// A success, a 405 or a 406, without a challenge: the API needs no token.
    Served,
    /// Any other reply, which does not show whether the API requires a token.
    Nothing,
}

impl Endpoint for ResourceProbe {
    const NAME: &'static str = "resource";
    type Output = ProbeResult;

    /// Accepts only JSON, because an API that needs no token could otherwise start an event stream, which never ends.
    fn request(&self, _: &Context<'_>) -> Result<EndpointRequest, Error> {
        Ok(EndpointRequest::get(&self.resource).accept("application/json"))
    }

    fn read(&self, _: &Context<'_>, reply: Reply<'_>) -> Result<Self::Output, Error> {
        let fields = reply.headers().get_all(WWW_AUTHENTICATE).iter();
        let fields: Vec<_> = fields.map(|field| field.as_bytes().to_vec()).collect();
        let status = reply.status();
        Ok(match status {
            StatusCode::UNAUTHORIZED => ProbeResult::Challenge(fields),
            // Method Not Allowed, Not Acceptable.
            status if matches!(status.as_u16(), 405 | 406) && fields.is_empty() => {
                ProbeResult::Served
            }
            _ if status.is_success() && fields.is_empty() => ProbeResult::Served,
            _ => ProbeResult::Nothing,
        })
    }
}
