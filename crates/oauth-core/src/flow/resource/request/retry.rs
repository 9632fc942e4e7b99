//! Restarts a request from the beginning: once after a 401, once with a DPoP nonce.

use super::{Body, Presented, ResourceRequest};
use crate::http::{HeaderMap, StatusCode};
use crate::token::step_up::StepUp;

impl ResourceRequest {
    /// What the reply to this request wants of the person (RFC 9470, RFC 6750 `insufficient_scope`), and the request as
    /// it was before it was sent, to be made once more after another authorization. `None` if none would help, or if
    /// the body cannot be sent again.
    pub fn stepped_up(&self, status: StatusCode, headers: &HeaderMap) -> Option<(StepUp, Self)> {
        if self.presented == Presented::Not {
            // There is nobody whose token would be short of anything.
            return None;
        }
        let wanted = self.verdict(status, headers).step_up()?;
        let Body::Bytes(bytes) = &self.body else {
            return None;
        };
        let url = self.url.as_ref().ok()?;
        let again = Self::new(&self.api, self.method.clone(), url.as_str())
            .headers(self.headers.clone())
            .body(bytes.clone())
            .on_limit(self.on_limit);
        let follows = self.follows;
        Some((wanted, Self { follows, ..again }))
    }
}
