//! Logout: how a user is signed out at the server, and how its requests to the browser are checked. The rules are those
//! of `flow/logout.rs` in oauth-core; a grant is logged out by oauth-session.

use oauth_core::flow::logout::{LogoutForm, LogoutRequest};
use oauth_core::redirect_uri::RedirectUri;
use oauth_core::{Error, Secret};

use crate::client::Client;

/// How to sign a user out at the server (OpenID Connect RP-Initiated Logout section 2).
#[derive(Debug, Clone, Default)]
pub struct EndSession {
    /// The ID token of the login.
    pub id_token_hint: Option<Secret<String>>,
    /// A hint about the user who is to be signed out.
    pub logout_hint: Option<String>,
    /// The URI to which the user returns.
    pub post_logout_redirect_uri: Option<String>,
    /// The value that comes back with the user.
    pub state: Option<Secret<String>>,
    /// Languages in order of preference.
    pub ui_locales: Option<String>,
}

impl EndSession {
    fn request(self) -> Result<LogoutRequest, Error> {
        let uri = self.post_logout_redirect_uri.as_deref();
        let mut request = LogoutRequest::new();
        request.id_token_hint = self.id_token_hint;
        request.logout_hint = self.logout_hint;
        request.post_logout_redirect_uri = uri.map(RedirectUri::parse).transpose()?;
        request.state = self.state;
        request.ui_locales = self.ui_locales;
        Ok(request)
    }
}

impl Client {
    /// The URL to open to sign a user out at the server.
    ///
    /// # Errors
    /// The errors of [`oauth_core::Client::end_session_url`], and `redirect_uri.refused`.
    pub fn end_session_url(&self, end_session: EndSession) -> Result<String, Error> {
        let url = self.core().end_session_url(&end_session.request()?)?;
        Ok(url.as_str().to_owned())
    }

    /// The form to post instead.
    ///
    /// # Errors
    /// The errors of [`Self::end_session_url`].
    pub fn end_session_form(&self, end_session: EndSession) -> Result<LogoutForm, Error> {
        self.core().end_session_form(&end_session.request()?)
    }
}
