//! Repeats a request after a step-up authorization (RFC 9470). The retries after a 401 and with a DPoP nonce are
//! decided in `retry.rs`.

use super::{Body, ResourceRequest, TokenPresentation};
use crate::http::{HeaderMap, StatusCode};
use crate::token::step_up_requirement::StepUp;

impl ResourceRequest {
    /// The authorization that the reply to this request requires (RFC 9470, RFC 6750 `insufficient_scope`), and the
    /// unsent request, to be repeated after that authorization. `None` if no authorization would help, or if the body
    /// cannot be sent again.
    pub fn required_step_up(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
    ) -> Option<(StepUp, Self)> {
        if self.presented == TokenPresentation::Not {
            // The request was made without a token, so no other token would help.
            return None;
        }
        let required = self.verdict(status, headers).step_up()?;
        let Body::Bytes(bytes) = &self.body else {
            return None;
        };
        let url = self.url.as_ref().ok()?;
        let copy = Self::new(&self.api, self.method.clone(), url.as_str())
            .headers(self.headers.clone())
            .body(bytes.clone())
            .on_rate_limit(self.on_rate_limit);
        let follows = self.follows;
        Some((required, Self { follows, ..copy }))
    }
}
