//! The redirect URI (RFC 6749 section 3.1.2, RFC 8252 section 7), compared exactly (any port on loopback, section 7.3);
//! and the open-redirect check of return URLs after a login. The loopback listener is `loopback.rs` in oauth-reqwest.

#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Misuse};
use crate::json::{Json, JsonForm};
use crate::url::{Flaw, Url};

/// The redirect URI, to which the server sends the user back (RFC 6749 section 3.1.2, RFC 8252 section 7).
///
/// `https`; plain `http` on a loopback address or `localhost`; or a private scheme in reverse
/// domain form (`com.example.app:/callback`). Kept and compared exactly as given.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String")]
#[serde(try_from = "String")]
pub struct RedirectUri(String);

impl RedirectUri {
    /// Reads a redirect URI.
    ///
    /// # Errors
    /// `redirect_uri.refused`.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let accepted = match Url::scan(text) {
            _ if text.contains('#') => false,
            Ok(url) => url.scheme() == "https" || url.is_loopback() || url.host() == "localhost",
            // "a URI scheme based on a domain name under their control, expressed in reverse
            // order" (RFC 8252 section 7.1)
            Err(Flaw::OtherScheme) => text.split_once(':').is_some_and(|(scheme, rest)| {
                let is_domain =
                    scheme.contains('.') && scheme.split('.').all(|label| !label.is_empty());
                is_domain && rest.starts_with('/') && rest.bytes().all(crate::url::is_plain)
            }),
            Err(_) => false,
        };
        if accepted {
            Ok(Self(text.to_owned()))
        } else {
            Err(Misuse::RedirectUriRefused.into())
        }
    }

    /// The text of the URI, exactly as given.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it redirects to a program on the user's device: a loopback address, `localhost` or a private scheme (RFC
    /// 8252 section 7).
    pub(crate) fn is_native(&self) -> bool {
        match Url::scan(&self.0) {
            Ok(url) => url.scheme() == "http" && url.is_local(),
            Err(_) => true,
        }
    }

    /// Whether a request may name `uri` if this one is registered: it is the same, or has a port and this one is a
    /// loopback address without a port. "The authorization server MUST allow any port to be specified at the time of
    /// the request for loopback IP redirect URIs" (RFC 8252 section 7.3).
    pub(crate) fn allows_request_uri(&self, uri: &Self) -> bool {
        if self == uri {
            return true;
        }
        match (Url::scan(&self.0), Url::scan(&uri.0)) {
            (Ok(registered), Ok(named)) => {
                let (host, rest) = (registered.host(), registered.path_and_query());
                // If the lengths add up, the URI has no port.
                let length = "http://".len() + host.len() + rest.len();
                registered.is_loopback()
                    && registered.scheme() == "http"
                    && registered.as_str().len() == length
                    && named.scheme() == "http"
                    && (named.host(), named.path_and_query()) == (host, rest)
            }
            _ => false,
        }
    }

    /// The parameters that the server added to this URI, if the callback arrived here. Only the parts of the URI that
    /// the callback contains are compared: for a path with a query the path, for a bare query nothing. `Err` contains
    /// the URI at which it arrived instead, without its query.
    pub(crate) fn match_callback<'a>(
        &self,
        callback: &'a str,
    ) -> Result<CallbackForm<'a>, &'a str> {
        let is_path = callback.starts_with('/') && !callback.starts_with("//");
        if !is_path && !callback.starts_with("//") && !has_scheme(callback) {
            return Ok(CallbackForm::ParametersOnly(
                self.without_own_query(callback),
            ));
        }
        let without_fragment = callback.split('#').next().unwrap_or_default();
        let (callback_path, query) = without_fragment
            .split_once('?')
            .unwrap_or((without_fragment, ""));
        let (own_path, own_query) = self.0.split_once('?').unwrap_or((&self.0, ""));
        let is_here = match (Url::scan(callback_path), Url::scan(own_path)) {
            (_, Ok(own_path)) if is_path => callback_path == non_empty_path(&own_path),
            // The path of a private scheme is everything after the colon.
            (_, Err(_)) if is_path => own_path
                .split_once(':')
                .is_some_and(|(_, path)| path == callback_path),
            (Ok(callback_path), Ok(own_path)) => {
                callback_path.same_origin(&own_path)
                    && non_empty_path(&callback_path) == non_empty_path(&own_path)
            }
            _ => callback_path == own_path,
        };
        let added = match query.strip_prefix(own_query) {
            Some(added) if own_query.is_empty() || added.is_empty() => Some(added),
            Some(added) => added.strip_prefix('&'),
            None => None,
        };
        match added.filter(|_| is_here) {
            Some(added) => Ok(CallbackForm::Complete { added }),
            None => Err(callback_path),
        }
    }

    /// A bare query may begin with the query of this URI itself; a posted form does not.
    fn without_own_query<'a>(&self, query: &'a str) -> &'a str {
        let Some((_, own_query)) = self
            .0
            .split_once('?')
            .filter(|(_, own_query)| !own_query.is_empty())
        else {
            return query;
        };
        let parameters = query.strip_prefix('?').unwrap_or(query);
        parameters
            .strip_prefix(own_query)
            .and_then(|added| added.strip_prefix('&'))
            .unwrap_or(query)
    }
}

/// A callback that arrived at this redirect URI.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CallbackForm<'a> {
    /// The callback contains this URI; `added` are the parameters added to its query.
    Complete { added: &'a str },
    /// The callback consists only of parameters.
    ParametersOnly(&'a str),
}

/// Whether a string begins as an absolute URI does. No parameter of a callback has a colon in its name, and a value
/// follows an equals sign.
fn has_scheme(text: &str) -> bool {
    text.split_once(':').is_some_and(|(scheme, _)| {
        let is_char = |b: u8| b.is_ascii_alphanumeric() || b"+-.".contains(&b);
        scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && scheme.bytes().all(is_char)
    })
}

/// The path as browsers write it: never empty.
fn non_empty_path(url: &Url) -> &str {
    match url.path() {
        "" => "/",
        path => path,
    }
}

impl FromStr for RedirectUri {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::parse(text)
    }
}

impl AsRef<str> for RedirectUri {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Debug for RedirectUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedirectUri({})", self.0)
    }
}

impl fmt::Display for RedirectUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<RedirectUri> for String {
    fn from(uri: RedirectUri) -> Self {
        uri.0
    }
}

impl TryFrom<String> for RedirectUri {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        Self::parse(&text)
    }
}

/// Checks the URL to which a user is redirected after the login, to prevent open redirects: a path of this origin, or a
/// URL on it (RFC 9700 section 4.11.1).
///
/// # Errors
/// `return_to.refused` for any string that a browser could resolve to another origin.
pub fn check_return_target<'a>(target: &'a str, own_origin: &Url) -> Result<&'a str, Error> {
    let refused = || Err(Error::from(Misuse::ReturnTarget));
    let without_fragment = target.split('#').next().unwrap_or_default();
    if !target.bytes().all(|b| b.is_ascii_graphic() && b != b'\\') {
        return refused();
    }
    // A path is read as part of this origin; `//host` in it, or dot segments, would lead away.
    let absolute = if without_fragment.starts_with('/') && !without_fragment.starts_with("//") {
        format!("{}{without_fragment}", own_origin.origin())
    } else {
        without_fragment.to_owned()
    };
    match Url::parse(&absolute) {
        Ok(url) if url.same_origin(own_origin) => Ok(target),
        _ => refused(),
    }
}

impl JsonForm for RedirectUri {
    fn read(value: Json<'_>) -> Option<Self> {
        Self::parse(value.as_str()?).ok()
    }

    fn write(&self, out: &mut String) {
        self.0.write(out);
    }
}
