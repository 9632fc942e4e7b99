//! Renewals that do not use a refresh token (RFC 6749 section 6): the access token itself is sent to a
//! provider-specific endpoint, and another one is returned.
//!
//! Meta does so: a short-lived token is exchanged for a long-lived one, which is renewed before it expires.
//! <https://developers.facebook.com/docs/threads/get-started/long-lived-tokens>

use crate::http::Method;
use crate::moment::UnixTime;
use crate::url::Url;

/// One way to renew access tokens without a refresh token. If there are several, the first that applies to the token's
/// lifetime is used.
///
/// The access token then takes the role of a refresh token: [`Tokens::refresh_token`](crate::Tokens::refresh_token)
/// holds it even if the response had none, and all rules for a refresh apply, such as one request for all workers,
/// and storing new tokens before use. An expired access token cannot be renewed, so a token is renewed after half of
/// its lifetime; one that is exchanged for a longer-lived token is exchanged immediately.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SelfRenewal {
    pub(crate) endpoint: Url,
    pub(crate) method: Method,
    pub(crate) grant_type: String,
    pub(crate) token_parameter: String,
    pub(crate) authenticates: bool,
    shorter_than: Option<u64>,
    earliest_age: u64,
}

impl SelfRenewal {
    /// A renewal by a `GET` request to this endpoint with `grant_type`, and the access token as `token_parameter`.
    ///
    /// The token is then part of the request URL, and may appear in the server's log. If the server also accepts a
    /// form, use [`with_post`](Self::with_post).
    pub fn new(endpoint: Url, grant_type: &str, token_parameter: &str) -> Self {
        Self {
            endpoint,
            method: Method::GET,
            grant_type: grant_type.to_owned(),
            token_parameter: token_parameter.to_owned(),
            authenticates: false,
            shorter_than: None,
            earliest_age: 0,
        }
    }

    /// Sends the request by `POST`, with the parameters in the body.
    #[must_use]
    pub fn with_post(mut self) -> Self {
        self.method = Method::POST;
        self
    }

    /// Sends the client's credentials, as to the token endpoint.
    #[must_use]
    pub const fn with_client_auth(mut self) -> Self {
        self.authenticates = true;
        self
    }

    /// Limits the renewal to tokens with a lifetime of less than this many seconds, or of unknown lifetime: they are
    /// exchanged at once.
    #[must_use]
    pub const fn with_lifetime_below(mut self, seconds: u64) -> Self {
        self.shorter_than = Some(seconds);
        self
    }

    /// Limits the renewal to tokens that are at least this many seconds old: before that the server refuses it.
    #[must_use]
    pub const fn after(mut self, seconds: u64) -> Self {
        self.earliest_age = seconds;
        self
    }

    /// Whether the renewal applies to tokens of this lifetime.
    pub(crate) fn is_for(&self, lifetime: Option<u64>) -> bool {
        let is_short = |limit| lifetime.is_none_or(|lifetime| lifetime < limit);
        self.shorter_than.is_none_or(is_short)
    }

    /// The time from which a valid token is renewed.
    pub(crate) fn from(&self, received_at: UnixTime, expires_in: Option<u64>) -> UnixTime {
        let half = match (self.shorter_than, expires_in) {
            (Some(_), _) => 0,
            (None, Some(lifetime)) => lifetime / 2,
            (None, None) => return UnixTime::from_secs(u64::MAX),
        };
        let age = half.max(self.earliest_age);
        received_at.after(std::time::Duration::from_secs(age))
    }
}
