//! The callback that a listener waits for: of a login, or of a logout.

use oauth_core::flow::logout;
use oauth_core::redirect_uri::RedirectUri;
use oauth_core::{PendingAuthorization, Secret};

#[derive(Debug, Clone, Copy)]
pub(super) enum ExpectedCallback<'a> {
    Login(&'a PendingAuthorization),
    Logout(&'a RedirectUri, &'a Secret<String>),
}

impl<'a> ExpectedCallback<'a> {
    pub(super) fn redirect_uri(self) -> &'a str {
        match self {
            Self::Login(pending) => pending.redirect_uri().as_str(),
            Self::Logout(uri, _) => uri.as_str(),
        }
    }

    /// Whether the URL that was requested belongs to this flow.
    pub(super) fn recognizes(self, callback: &str) -> bool {
        match self {
            Self::Login(pending) => pending.recognizes(callback),
            Self::Logout(_, state) => logout::check_return(callback, state).is_ok(),
        }
    }
}
