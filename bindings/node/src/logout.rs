//! RP-initiated logout at the server, and front-channel logout requests (OpenID Connect).

use napi::Result;
use napi_derive::napi;
use oauth_core::Secret;
use oauth_core::flow::logout::{self, FrontChannelLogout, Session};
use oauth_facade::EndSession;

use crate::client::NativeClient;
use crate::error::fail;

/// The parameters of an end session request.
#[napi(object, object_to_js = false)]
pub struct NativeEndSession {
    /// The ID token of the login.
    pub id_token_hint: Option<String>,
    /// A hint about the user to log out (`logout_hint`).
    pub logout_hint: Option<String>,
    /// The URL to return to.
    pub post_logout_redirect_uri: Option<String>,
    /// The `state` that is returned with the redirect.
    pub state: Option<String>,
    /// Languages in order of preference.
    pub ui_locales: Option<String>,
}

impl From<NativeEndSession> for EndSession {
    fn from(request: NativeEndSession) -> Self {
        Self {
            id_token_hint: request.id_token_hint.map(Secret::new),
            logout_hint: request.logout_hint,
            post_logout_redirect_uri: request.post_logout_redirect_uri,
            state: request.state.map(Secret::new),
            ui_locales: request.ui_locales,
        }
    }
}

/// A form to post in the browser.
#[napi(object, object_from_js = false)]
pub struct NativeLogoutForm {
    /// The URL to which the form is posted.
    pub action: String,
    /// The names and values of the hidden fields.
    pub fields: Vec<Vec<String>>,
    /// A page that submits the form.
    pub html: String,
    /// The `Content-Security-Policy` that the page needs.
    pub content_security_policy: String,
}

#[napi]
impl NativeClient {
    /// The URL to open in the browser to log the user out at the server.
    #[napi]
    pub fn end_session_url(&self, request: NativeEndSession) -> Result<String> {
        self.0.end_session_url(request.into()).map_err(fail)
    }

    /// The end session request as a form.
    #[napi]
    pub fn end_session_form(&self, request: NativeEndSession) -> Result<NativeLogoutForm> {
        let form = self.0.end_session_form(request.into()).map_err(fail)?;
        let pair = |(name, value): (&str, &str)| vec![name.to_owned(), value.to_owned()];
        Ok(NativeLogoutForm {
            action: form.action().as_str().to_owned(),
            fields: form.fields().map(pair).collect(),
            html: form.html(),
            content_security_policy: form.content_security_policy().to_owned(),
        })
    }
}

/// Checks the state of a return from a logout.
#[napi]
pub(crate) fn check_logout_return(url: String, state: String) -> Result<()> {
    logout::check_return(&url, &Secret::new(state)).map_err(fail)
}

/// A front-channel logout request.
#[napi]
pub struct NativeFrontChannelLogout(FrontChannelLogout);

#[napi]
impl NativeFrontChannelLogout {
    /// Parses a URL, or its query.
    #[napi(factory)]
    pub fn parse(url: String) -> Result<Self> {
        FrontChannelLogout::parse(&url).map(Self).map_err(fail)
    }

    /// Whether it ends this session.
    #[napi]
    pub fn ends(&self, issuer: String, sid: Option<String>) -> bool {
        self.0.ends(&Session::new(issuer, None, sid))
    }
}
