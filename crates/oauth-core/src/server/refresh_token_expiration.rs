//! The expirations of grants that a server announces (draft-ietf-oauth-refresh-token-expiration-03 section 8).

/// An expiration of a grant that a server announces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RefreshTokenExpiration {
    /// `authorization`: when the authorization ends, even if tokens are renewed before.
    Authorization,
    /// `token_timeout`: when an unused refresh token expires.
    TokenTimeout,
}

impl RefreshTokenExpiration {
    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Authorization => "authorization",
            Self::TokenTimeout => "token_timeout",
        }
    }

    pub(super) fn from_name(name: &str) -> Option<Self> {
        let kinds = [Self::Authorization, Self::TokenTimeout];
        kinds.into_iter().find(|kind| kind.as_str() == name)
    }
}
