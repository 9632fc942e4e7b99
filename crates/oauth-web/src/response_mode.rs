//! How a provider returns the authorization response.

use oauth_core::flow::authorization;

/// How a provider returns the authorization response. There is no mode for the fragment of a URL, which browsers do not
/// send to servers.
///
/// Responses in the three JWT modes are signed by the provider (JARM): the code is sent only once signature, issuer,
/// audience and expiry are checked, and additional unsigned parameters are refused (`callback.mixed_response`). The
/// algorithm and the keys of encrypted responses are settings of the client. A client with the profile FAPI 2.0 Message
/// Signing always requests the signed variant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ResponseMode {
    /// In the query.
    #[default]
    Query,
    /// In a form that the browser posts (`form_post`); its flow cookies are `SameSite=None`.
    FormPost,
    /// As a signed JWT, where the provider returns a code by default: in the query (`jwt`).
    Jwt,
    /// As a signed JWT in the query (`query.jwt`).
    QueryJwt,
    /// As a signed JWT in a form that the browser posts (`form_post.jwt`), like [`FormPost`](Self::FormPost).
    FormPostJwt,
}

impl ResponseMode {
    /// Every mode.
    pub const ALL: &'static [Self] = &[
        Self::Query,
        Self::FormPost,
        Self::Jwt,
        Self::QueryJwt,
        Self::FormPostJwt,
    ];

    /// The mode's name in settings and in a request.
    pub const fn as_str(self) -> &'static str {
        self.requested().as_str()
    }

    /// The mode with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        let mut modes = Self::ALL.iter().copied();
        modes.find(|mode| mode.as_str() == name)
    }

    /// The mode as it is requested.
    pub(crate) const fn requested(self) -> authorization::ResponseMode {
        match self {
            Self::Query => authorization::ResponseMode::Query,
            Self::FormPost => authorization::ResponseMode::FormPost,
            Self::Jwt => authorization::ResponseMode::Jwt,
            Self::QueryJwt => authorization::ResponseMode::QueryJwt,
            Self::FormPostJwt => authorization::ResponseMode::FormPostJwt,
        }
    }

    /// Whether the response arrives from another site as a form, with which browsers send only `SameSite=None` cookies.
    pub(crate) const fn is_posted(self) -> bool {
        matches!(self, Self::FormPost | Self::FormPostJwt)
    }
}
