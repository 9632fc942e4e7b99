//! Renewals that do not use a refresh token (RFC 6749 section 6): the access token itself is sent to a
//! provider-specific endpoint, and another one is returned.
//!
//! Meta does so: a short-lived token is exchanged for a long-lived one, and that is renewed while it lasts.
//! <https://developers.facebook.com/docs/threads/get-started/long-lived-tokens>

use crate::http::Method;
use crate::moment::UnixTime;
use crate::url::Url;

/// One way in which access tokens are renewed. If there are several, the first that applies to the token's lifetime
/// is used.
///
/// With it the access token takes the part of a refresh token: tokens that come without one have
/// [`Tokens::refresh_token`](crate::Tokens::refresh_token) all the same, and everything that is done for a refresh is done for it, from the one
/// request of many workers to the storing before anyone sees what came. An access token that has ended renews
/// nothing, so it is renewed from half of its lifetime on, and one that is exchanged for a longer-lived one at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renewal {
    pub(crate) endpoint: Url,
    pub(crate) method: Method,
    pub(crate) grant_type: String,
    pub(crate) token_parameter: String,
    pub(crate) authenticates: bool,
    shorter_than: Option<u64>,
    earliest_age: u64,
}

impl Renewal {
    /// A `GET` request to this endpoint with `grant_type`, and the access token as `token_parameter`.
    ///
    /// The token is in the URL of the request then, and in the server's log. That is what such servers demand; if it
    /// takes a form as well, say so with [`posted`](Self::posted).
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

    /// By `POST`, with the parameters in the body.
    #[must_use]
    pub fn posted(mut self) -> Self {
        self.method = Method::POST;
        self
    }

    /// With the client's credentials, as they go to the token endpoint.
    #[must_use]
    pub const fn authenticated(mut self) -> Self {
        self.authenticates = true;
        self
    }

    /// Only for tokens with a lifetime of less than this many seconds, or of unknown lifetime: they are exchanged at
    /// once.
    #[must_use]
    pub const fn of_shorter_than(mut self, seconds: u64) -> Self {
        self.shorter_than = Some(seconds);
        self
    }

    /// Only for tokens that are at least this many seconds old: before that the server refuses.
    #[must_use]
    pub const fn after(mut self, seconds: u64) -> Self {
        self.earliest_age = seconds;
        self
    }

    /// Whether it is for tokens of this lifetime.
    pub(crate) fn is_for(&self, lifetime: Option<u64>) -> bool {
        let is_short = |limit| lifetime.is_none_or(|lifetime| lifetime < limit);
        self.shorter_than.is_none_or(is_short)
    }

    /// When such a token is renewed though it is good.
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
