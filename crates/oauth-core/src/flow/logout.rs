//! Logout: requested at the server for the user, or announced by the server through the back or front channel. The
//! claims of a logout token, and whether it was received before, are checked in `token/logout_token.rs`.
//!
//! OpenID Connect RP-Initiated Logout <https://openid.net/specs/openid-connect-rpinitiated-1_0.html>,
//! Front-Channel Logout <https://openid.net/specs/openid-connect-frontchannel-1_0.html>, Back-Channel Logout
//! <https://openid.net/specs/openid-connect-backchannel-1_0.html>

mod form;
#[cfg(test)]
mod tests;

use std::fmt;

use crate::client_config::ClientConfig;
use crate::error::{Error, Misuse, ProtocolViolation, ValidationFailure};
use crate::form::{self as parameter, Form};
#[cfg(feature = "sha2")]
use crate::moment::Moment;
use crate::redirect_uri::RedirectUri;
use crate::scope::Scope;
use crate::secret::Secret;
use crate::server::EndpointKind;
use crate::url::Url;

pub use crate::token::logout_token::Session;
pub use form::{LogoutForm, MAX_URL};

/// The largest request that is read, in bytes.
const MAX_REQUEST: usize = 64 << 10;

/// Signs a user out at the server, through the browser (OpenID Connect RP-Initiated Logout section 2).
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct LogoutRequest {
    /// The ID token of the login, which identifies the session to end. The token is part of the URL, or of the
    /// [form](LogoutForm): it no longer signs anyone in, but it contains data about the user, so keep the URL out of
    /// logs. Without it, the server has to let the user confirm the logout.
    pub id_token_hint: Option<Secret<String>>,
    /// A hint about the user who is to be signed out, such as an e-mail address.
    pub logout_hint: Option<String>,
    /// The URI to which the user returns; registered at the server as `post_logout_redirect_uris`.
    pub post_logout_redirect_uri: Option<RedirectUri>,
    /// The value that the user's browser returns, and that [`check_return`] compares. Generate a new one for each
    /// logout.
    pub state: Option<Secret<String>>,
    /// Languages in order of preference (RFC 5646), separated by spaces.
    pub ui_locales: Option<String>,
}

impl LogoutRequest {
    /// A request with only the client id.
    pub fn new() -> Self {
        Self::default()
    }

    /// A request with a return to this URI, and a new `state`, which [`check_return`] compares with the returned one.
    ///
    /// # Errors
    /// `misuse.no_randomness`.
    #[cfg(feature = "sha2")]
    pub fn returning_to(uri: RedirectUri, moment: &Moment) -> Result<Self, Error> {
        Ok(Self {
            post_logout_redirect_uri: Some(uri),
            state: Some(moment.token("logout")?.into()),
            ..Self::default()
        })
    }

    /// The URL to open in the browser.
    pub(crate) fn url(&self, config: &ClientConfig) -> Result<Url, Error> {
        let endpoint = config.server.endpoint(EndpointKind::EndSession)?;
        Ok(endpoint.with_query(&self.parameters(config, endpoint)?))
    }

    /// The form to post instead.
    pub(crate) fn form(&self, config: &ClientConfig) -> Result<LogoutForm, Error> {
        let endpoint = config.server.endpoint(EndpointKind::EndSession)?;
        let form = self.parameters(config, endpoint)?;
        let fields = parameter::parse(form.as_str()).unwrap_or_default();
        let fields = fields
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_string()));
        Ok(LogoutForm::new(endpoint.clone(), fields.collect()))
    }

    /// The parameters for this endpoint.
    fn parameters(&self, config: &ClientConfig, endpoint: &Url) -> Result<Form, Error> {
        let push_secret = |secret: &Option<Secret<String>>, name: &str, form: &mut Form| {
            let value = secret.as_ref().map(|secret| secret.expose().as_str());
            form.push_some(name, value);
        };
        let mut form = Form::new();
        push_secret(&self.id_token_hint, "id_token_hint", &mut form);
        form.push_some("logout_hint", self.logout_hint.as_deref());
        // Always sent: without it and without an ID token, a server does not know to which client the redirect URI
        // belongs.
        form.push("client_id", config.client_id.as_str());
        let uri = self.post_logout_redirect_uri.as_ref();
        form.push_some("post_logout_redirect_uri", uri.map(RedirectUri::as_str));
        push_secret(&self.state, "state", &mut form);
        form.push_some("ui_locales", self.ui_locales.as_deref());
        for (name, _) in parameter::parse(endpoint.query().unwrap_or_default()).unwrap_or_default()
        {
            if form.names(&name) {
                return Err(Error::from(Misuse::ParameterTwice).about(&name));
            }
        }
        Ok(form)
    }
}

impl fmt::Debug for LogoutRequest {
    /// Does not show the user who is to be signed out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogoutRequest")
            .field("post_logout_redirect_uri", &self.post_logout_redirect_uri)
            .finish_non_exhaustive()
    }
}

/// Checks the `state` with which a user returns from a logout, if one was sent (OpenID Connect
/// RP-Initiated Logout section 3). `callback` is the whole URL that was requested, or its query. A request without the
/// `state` may come from anyone: show a page, and change nothing.
///
/// # Errors
/// `logout.state`; `logout.malformed` for an invalid query, or one larger than 64 KiB.
pub fn check_return(callback: &str, state: &Secret<String>) -> Result<(), Error> {
    let returned = parameters(callback, &["state"])?;
    match returned.first() {
        Some(Some(returned)) if state.matches(returned) => Ok(()),
        _ => Err(ValidationFailure::LogoutState.into()),
    }
}

/// A request for a logout through the front channel (OpenID Connect Front-Channel Logout section 3): the server lets
/// the browser load a frame. Browsers withhold cookies there, so prefer the back channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrontChannelLogout(Option<(String, String)>);

impl FrontChannelLogout {
    /// Reads the URL that was requested, or its query.
    ///
    /// # Errors
    /// `logout.malformed` for one of `iss` and `sid` without the other (section 2), for either of them twice,
    /// and for an invalid query, or one larger than 64 KiB.
    pub fn parse(request: &str) -> Result<Self, Error> {
        let parameters = parameters(request, &["iss", "sid"])?;
        let mut values = parameters.into_iter();
        match (values.next().flatten(), values.next().flatten()) {
            (Some(issuer), Some(sid)) => Ok(Self(Some((issuer, sid)))),
            (None, None) => Ok(Self(None)),
            (None, _) => Err(Error::from(ProtocolViolation::LogoutShape).about("iss")),
            (_, None) => Err(Error::from(ProtocolViolation::LogoutShape).about("sid")),
        }
    }

    /// Whether the request ends the session of the browser that sent it. Nothing proves who made the browser load the
    /// frame, so it ends no other session.
    pub fn ends(&self, session: &Session) -> bool {
        self.0.as_ref().is_none_or(|(issuer, sid)| {
            session.issuer == *issuer && session.sid.as_ref() == Some(sid)
        })
    }
}

/// Whether the grant of a session that has ended should be revoked: "refresh tokens issued with the
/// offline_access property to a session being logged out SHOULD NOT be revoked" (OpenID Connect Back-Channel
/// Logout section 2.7).
pub fn revokes(scope: &Scope) -> bool {
    !scope.contains("offline_access")
}

/// The response to a request of either channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogoutReply {
    /// The HTTP status.
    pub status: u16,
    /// The value of `Cache-Control`.
    pub cache_control: &'static str,
}

impl LogoutReply {
    /// 200 for a valid request, whether or not there was a session to end; otherwise 400 (OpenID Connect
    /// Back-Channel Logout section 2.8).
    pub const fn for_result<T, E>(result: &Result<T, E>) -> Self {
        Self {
            status: if result.is_ok() { 200 } else { 400 },
            cache_control: "no-store",
        }
    }
}

/// The values of the parameters with these names, in this order.
/// "Parameters sent without a value MUST be treated as if they were omitted"
/// (RFC 6749 section 3.1).
fn parameters(request: &str, names: &[&str]) -> Result<Vec<Option<String>>, Error> {
    let malformed = || Error::from(ProtocolViolation::LogoutShape);
    if request.len() > MAX_REQUEST {
        return Err(malformed());
    }
    let request = request.split('#').next().unwrap_or_default();
    let query = request.split_once('?').map_or(request, |(_, query)| query);
    let pairs = parameter::parse(query).map_err(|_| malformed())?;
    let single_value = |name: &&str| {
        let mut matches = pairs.iter().filter(|(key, _)| key == name);
        let first = matches.next().map(|(_, value)| value.to_string());
        match matches.next() {
            Some(_) => Err(malformed().about(name)),
            None => Ok(first.filter(|value| !value.is_empty())),
        }
    };
    names.iter().map(single_value).collect()
}
