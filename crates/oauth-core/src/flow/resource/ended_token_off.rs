//! Replaces `ended_token.rs` if the feature `ended-tokens` is off, as in builds for browsers: no API has such rules.

use crate::http::{HeaderMap, HeaderName, StatusCode};

pub(super) const MAX_PEEKED_BYTES: usize = 0;

#[derive(Debug, Clone, Default)]
pub(super) struct EndedTokens(());

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(dead_code, reason = "only rules produce the other variants")]
pub(super) enum TokenVerdict {
    Ended,
    PerhapsInTheBody,
    Nothing,
}

#[allow(
    clippy::unused_self,
    reason = "the same signature as in ended_token.rs"
)]
impl EndedTokens {
    pub(super) const fn field(&self, _: &[u8]) -> Option<HeaderName> {
        None
    }

    pub(super) const fn by_head(&self, _: StatusCode, _: &HeaderMap) -> TokenVerdict {
        TokenVerdict::Nothing
    }

    pub(super) const fn by_body(&self, _: StatusCode, _: &[u8]) -> bool {
        false
    }
}
