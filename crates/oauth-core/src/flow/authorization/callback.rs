//! The parameters of the authorization response (RFC 6749 section 4.1.2), and the check of its issuer
//! (RFC 9207 section 2.4). An error in it is parsed here, and raised in `pending.rs`, once state and issuer are
//! checked.

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt;

use super::{ResponseMode, jarm};
use crate::browser_build::IS_BROWSER_BUILD;
use crate::error::{Error, ProtocolViolation, ServerError, ValidationFailure};
use crate::form::{self, Pairs};
use crate::issuer::Issuer;
use crate::quirk::Rules;
use crate::redirect_uri::{CallbackForm, RedirectUri};
use crate::secret::Secret;

/// The largest callback that is read, in bytes.
pub(crate) const MAX_CALLBACK: usize = 64 << 10;

/// The parameters that are read, each of which may occur only once. Others are ignored, even if they occur several
/// times.
const RESPONSE_PARAMETERS: [&str; 8] = [
    "code",
    "state",
    "id_token",
    "iss",
    "error",
    "error_description",
    "error_uri",
    jarm::PARAMETER,
];

/// The parameters of a callback, parsed but not yet checked.
#[derive(Clone)]
pub struct Callback<'a>(Pairs<'a>);

impl<'a> Callback<'a> {
    /// Every parameter that is read.
    pub(super) const RESPONSE_PARAMETERS: [&'static str; 8] = RESPONSE_PARAMETERS;

    /// Reads the part of the callback that `mode` names: with [`ResponseMode::FormPost`] the
    /// callback is the form itself, else the whole URL that was requested.
    ///
    /// # Errors
    /// `callback.too_large`, `callback.redirect_uri`, `callback.encoding`,
    /// `callback.duplicate_parameter`.
    pub fn read(callback: &'a str, uri: &RedirectUri, mode: ResponseMode) -> Result<Self, Error> {
        if callback.len() > MAX_CALLBACK {
            return Err(ProtocolViolation::CallbackTooLarge.into());
        }
        let arrived = uri.match_callback(callback).map_err(|actual_uri| {
            let arrived_at = without_userinfo(actual_uri);
            let detail = format!("it arrived at {arrived_at}, this flow's is {uri}");
            Error::from(ValidationFailure::CallbackRedirectUri).about(&detail)
        })?;
        let form = match (mode, arrived) {
            (ResponseMode::Fragment, CallbackForm::Complete { .. }) => callback
                .split_once('#')
                .map_or("", |(_, fragment)| fragment),
            (ResponseMode::Fragment, CallbackForm::ParametersOnly(fragment)) => {
                fragment.strip_prefix('#').unwrap_or(fragment)
            }
            // A server without form_post support redirects with a query anyway.
            (_, CallbackForm::Complete { added }) => added,
            (ResponseMode::FormPost, CallbackForm::ParametersOnly(form)) => form,
            (_, CallbackForm::ParametersOnly(query)) => query
                .split('#')
                .next()
                .map_or(query, |query| query.strip_prefix('?').unwrap_or(query)),
        };
        Self::from_pairs(read_known(form)?)
    }

    /// Uses parameters that arrived another way, such as the claims of a verified JARM response.
    ///
    /// # Errors
    /// `callback.duplicate_parameter`.
    pub fn from_pairs(pairs: Pairs<'a>) -> Result<Self, Error> {
        for name in RESPONSE_PARAMETERS {
            // "Request and response parameters MUST NOT be included more than once" (RFC 6749 section 3.1)
            if pairs.iter().filter(|(key, _)| key == name).nth(1).is_some() {
                return Err(Error::from(ProtocolViolation::CallbackDuplicate).about(name));
            }
        }
        Ok(Self(pairs))
    }

    /// The parameter of this name. "Parameters sent without a value MUST be treated as if they were omitted" (RFC 6749
    /// section 3.1).
    fn get(&self, name: &str) -> Option<&str> {
        let parameter = self
            .0
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_ref());
        parameter.filter(|value| !value.is_empty())
    }

    /// The issuer that the callback names.
    pub fn issuer(&self) -> Option<&str> {
        self.get("iss")
    }

    pub(super) fn has_state(&self, state: &Secret<String>) -> bool {
        self.get("state")
            .is_some_and(|received| state.matches(received))
    }

    /// Whether the callback has neither a code nor an error.
    pub(super) fn is_empty(&self) -> bool {
        self.get("code").is_none() && self.get("error").is_none()
    }

    /// The response as a JWT (JARM).
    pub(super) fn response(&self) -> Option<&str> {
        self.get(jarm::PARAMETER)
    }

    /// Whether there are unsigned parameters that belong in the JWT of a signed response.
    pub(super) fn is_plain(&self) -> bool {
        ["code", "id_token", "error"]
            .iter()
            .any(|name| self.get(name).is_some())
    }

    pub(super) fn code(&self) -> Option<&str> {
        self.get("code")
    }

    /// The ID token that came with the code.
    pub(super) fn id_token(&self) -> Result<Secret<String>, Error> {
        let token = self.get("id_token").map(Secret::from);
        token.ok_or_else(|| {
            Error::from(ProtocolViolation::IdTokenMissing).at_endpoint("authorization")
        })
    }

    pub(super) fn refusal(&self) -> Option<ServerError> {
        let error = self.get("error")?;
        let (description, uri) = (self.get("error_description"), self.get("error_uri"));
        Some(ServerError::from_code(error).with_description(description, uri))
    }

    /// The unverified error code, to show in the error when the callback is refused.
    pub(super) fn claimed_error(&self) -> Option<&str> {
        self.get("error")
    }

    /// Compares the issuer that the callback names with the one to which the user was sent (RFC 9207
    /// section 2.4), before anything else in it is trusted. If present, it is always compared.
    pub(super) fn check_issuer(
        &self,
        issuer: &Issuer,
        rules: &Rules,
        is_required: bool,
    ) -> Result<(), Error> {
        check_issuers(issuer, rules, is_required, [self.issuer()])
    }
}

/// A URI without a user name and a password, which an error must not show.
fn without_userinfo(uri: &str) -> Cow<'_, str> {
    let Some((scheme, rest)) = uri.split_once("//").filter(|_| !IS_BROWSER_BUILD) else {
        return uri.into(); // The address of a page has none.
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    match authority.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}//{host}{path}").into(),
        None => uri.into(),
    }
}

/// The parameters that are read. "The client MUST ignore unrecognized response parameters" (RFC 6749 section 4.1.2):
/// also one that is not UTF-8.
fn read_known(form: &str) -> Result<Pairs<'_>, Error> {
    let mut pairs = Pairs::new();
    for pair in form.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        match form::decode(name) {
            Ok(name) if RESPONSE_PARAMETERS.contains(&name.as_ref()) => {
                let value = form::decode(value).map_err(|_| ProtocolViolation::CallbackEncoding)?;
                pairs.push((name, value));
            }
            _ => {}
        }
    }
    Ok(pairs)
}

/// Compares every issuer that a response names with the expected one: all must agree (RFC 9207 section 2.4, with an ID
/// Token in the front channel or a JARM response).
///
/// # Errors
/// `callback.issuer`, `callback.missing_issuer`.
pub fn check_issuers<'a>(
    issuer: &Issuer,
    rules: &Rules,
    is_required: bool,
    named: impl IntoIterator<Item = Option<&'a str>>,
) -> Result<(), Error> {
    let mut names_issuer = false;
    for name in named.into_iter().flatten() {
        if !issuer.matches(name, rules) {
            return Err(ValidationFailure::CallbackIssuer.into());
        }
        names_issuer = true;
    }
    if is_required && !names_issuer {
        return Err(ValidationFailure::CallbackIssuerMissing.into());
    }
    Ok(())
}

impl fmt::Debug for Callback<'_> {
    /// Shows only the names, because the values include a code and a state.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set()
            .entries(self.0.iter().map(|(name, _)| name))
            .finish()
    }
}
