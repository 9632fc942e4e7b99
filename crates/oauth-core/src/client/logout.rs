//! Methods of [`Client`](super::Client) for back-channel logout, which the server announces, and RP-initiated logout,
//! which the client requests. The rules are in `flow/logout.rs` and `token/logout_token.rs`.

use std::sync::Arc;

use super::Client;
use crate::error::Error;
use crate::exchange::Exchange;
use crate::flow::logout::{LogoutForm, LogoutRequest};
use crate::flow::verification;
use crate::secret::Secret;
use crate::token::logout_token::{LogoutToken, LogoutTokenChecks};
use crate::url::Url;

impl Client {
    /// Verifies a logout token that the server posted (OpenID Connect Back-Channel Logout section 2.6): signature,
    /// claims, and that it has not been received before. It must be encrypted if, and only if, ID tokens are
    /// ([`Self::with_id_token_encryption`]). The caller must find the sessions that it ends, with
    /// [`LogoutToken::ends`].
    ///
    /// # Errors
    /// `jwe.*`, `jws.*`, `jwt.*`, `logout_token.*`, `jwks.malformed` and `endpoint.missing`, from the steps.
    pub fn verify_logout_token(
        &self,
        token: Secret<String>,
        checks: LogoutTokenChecks,
    ) -> impl Exchange<Output = LogoutToken> + Send + use<> {
        verification::logout_token(Arc::clone(&self.0), token, checks)
    }

    /// The URL to open in the browser to sign the user out at the server (OpenID Connect RP-Initiated Logout section
    /// 2), with the client's id. The caller must end the local session.
    ///
    /// # Errors
    /// `endpoint.missing` if the server has no `end_session_endpoint`, `form.duplicate_parameter`.
    pub fn end_session_url(&self, request: &LogoutRequest) -> Result<Url, Error> {
        let client_id_check = self.0.client_id.check();
        let url = client_id_check.and_then(|()| request.url(&self.0));
        url.map_err(|error| error.at_endpoint("end_session"))
    }

    /// The form to post in the browser instead, which keeps the ID token out of the URL: for an ID token with which
    /// [`end_session_url`](Self::end_session_url) is longer than
    /// [`MAX_URL`](crate::flow::logout::MAX_URL).
    ///
    /// # Errors
    /// The errors of [`end_session_url`](Self::end_session_url).
    pub fn end_session_form(&self, request: &LogoutRequest) -> Result<LogoutForm, Error> {
        let client_id_check = self.0.client_id.check();
        let form = client_id_check.and_then(|()| request.form(&self.0));
        form.map_err(|error| error.at_endpoint("end_session"))
    }
}
