//! The response that an API sends when it refuses a token, as part of an error. `flow/access_token/refusal.rs` builds
//! it.

use super::Error;

/// The response to a refused request. It contains neither any part of the token nor the reason why the token is
/// invalid.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ApiRefusal {
    /// The HTTP status: 400, 401 or 403 because of the token, 500 or 503 if it could not be verified.
    pub status: u16,
    /// The value of `WWW-Authenticate` (RFC 6750 section 3); `None` if the token is not at fault.
    pub challenge: Option<String>,
    /// The value of `DPoP-Nonce`, if the API requires nonces in DPoP proofs (RFC 9449 section 9).
    pub dpop_nonce: Option<String>,
}

impl ApiRefusal {
    /// A response without a nonce; without a challenge, too, if the token is not at fault.
    pub(crate) const fn new(status: u16, challenge: Option<String>) -> Self {
        Self {
            status,
            challenge,
            dpop_nonce: None,
        }
    }

    /// The header fields of the response, with names in lower case.
    pub fn headers(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let header_fields = [
            ("www-authenticate", &self.challenge),
            ("dpop-nonce", &self.dpop_nonce),
        ];
        header_fields
            .into_iter()
            .filter_map(|(name, value)| value.as_deref().map(|value| (name, value)))
    }
}

impl Error {
    /// The response of an API to the request whose access token caused this error; `None` for any other error.
    pub fn refusal(&self) -> Option<&ApiRefusal> {
        self.0.refusal.as_ref()
    }

    #[must_use]
    pub(crate) fn with_refusal(mut self, refusal: ApiRefusal) -> Self {
        self.0.refusal = Some(refusal);
        self
    }
}
