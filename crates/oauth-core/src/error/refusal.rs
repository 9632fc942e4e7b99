//! The response that an API sends when it refuses a token.

use super::Error;

/// What to answer. No part of a token is in it, nor what was found wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ApiRefusal {
    /// The HTTP status: 401 or 403 for the token's sake, 500 or 503 where it could not be verified.
    pub status: u16,
    /// The value of `WWW-Authenticate` (RFC 6750 section 3); none where the token is not at fault.
    pub challenge: Option<String>,
}

impl Error {
    /// What an API answers to the request whose access token met this error; `None` of any other error.
    pub fn refusal(&self) -> Option<&ApiRefusal> {
        self.0.refusal.as_ref()
    }

    #[must_use]
    pub(crate) fn refusing(mut self, refusal: ApiRefusal) -> Self {
        self.0.refusal = Some(refusal);
        self
    }
}
