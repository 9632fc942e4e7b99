//! OAuth error responses (RFC 6749 sections 4.1.2.1 and 5.2, RFC 6750 section 3.1), with the codes of the extensions:
//! RFC 7009 section 2.2.1, RFC 7591, RFC 8628, RFC 8707, RFC 9101, RFC 9126, RFC 9396, RFC 9449, RFC 9470 and OpenID
//! Connect.

use std::fmt;
use std::time::Duration;

use super::printable;
use super::redaction::{contains, redacted};
use super::table::{Advice, table};
use crate::browser_build::IS_BROWSER_BUILD;
use crate::extra::Extra;
use crate::secret::Secret;
use crate::value::{self, Map, Value};

const RETRY: Advice = Advice::Retry { after: None };
const REAUTHORIZE: Advice = Advice::Reauthorize;
const GIVE_UP: Advice = Advice::GiveUp;

table! {
    /// The error codes in the OAuth registry, and names for responses without one.
    Denial {
        InvalidRequest "denied.invalid_request" GIVE_UP "invalid_request"
        InvalidClient "denied.invalid_client" GIVE_UP "invalid_client"
        InvalidGrant "denied.invalid_grant" REAUTHORIZE "invalid_grant"
        UnauthorizedClient "denied.unauthorized_client" GIVE_UP "unauthorized_client"
        UnsupportedGrantType "denied.unsupported_grant_type" GIVE_UP "unsupported_grant_type"
        UnsupportedResponseType "denied.unsupported_response_type" GIVE_UP "unsupported_response_type"
        InvalidScope "denied.invalid_scope" GIVE_UP "invalid_scope"
        AccessDenied "denied.access_denied" GIVE_UP "access_denied"
        ServerError "denied.server_error" RETRY "server_error"
        TemporarilyUnavailable "denied.temporarily_unavailable" RETRY "temporarily_unavailable"
        InvalidToken "denied.invalid_token" REAUTHORIZE "invalid_token"
        InsufficientScope "denied.insufficient_scope" REAUTHORIZE "insufficient_scope"
        InsufficientUserAuthentication "denied.insufficient_user_authentication" REAUTHORIZE "insufficient_user_authentication"
        UnsupportedTokenType "denied.unsupported_token_type" GIVE_UP "unsupported_token_type"
        InteractionRequired "denied.interaction_required" REAUTHORIZE "interaction_required"
        LoginRequired "denied.login_required" REAUTHORIZE "login_required"
        AccountSelectionRequired "denied.account_selection_required" REAUTHORIZE "account_selection_required"
        ConsentRequired "denied.consent_required" REAUTHORIZE "consent_required"
        InvalidRequestUri "denied.invalid_request_uri" GIVE_UP "invalid_request_uri"
        InvalidRequestObject "denied.invalid_request_object" GIVE_UP "invalid_request_object"
        AuthorizationPending "denied.authorization_pending" RETRY "authorization_pending"
        SlowDown "denied.slow_down" RETRY "slow_down"
        ExpiredToken "denied.expired_token" REAUTHORIZE "expired_token"
        InvalidTarget "denied.invalid_target" GIVE_UP "invalid_target"
        InvalidDpopProof "denied.invalid_dpop_proof" GIVE_UP "invalid_dpop_proof"
        UseDpopNonce "denied.use_dpop_nonce" RETRY "use_dpop_nonce"
        InvalidAuthorizationDetails "denied.invalid_authorization_details" GIVE_UP "invalid_authorization_details"
        InvalidRedirectUri "denied.invalid_redirect_uri" GIVE_UP "invalid_redirect_uri"
        InvalidClientMetadata "denied.invalid_client_metadata" GIVE_UP "invalid_client_metadata"
        InvalidSoftwareStatement "denied.invalid_software_statement" GIVE_UP "invalid_software_statement"
        UnapprovedSoftwareStatement "denied.unapproved_software_statement" GIVE_UP "unapproved_software_statement"
        Other "denied.other" GIVE_UP "an error code outside the OAuth registry"
        Challenge "denied.http_challenge" GIVE_UP "only an HTTP challenge"
        Busy "denied.busy" RETRY "only an HTTP status that asks to come back later"
        Status "denied.http_status" GIVE_UP "only an HTTP status"
        RateLimited "resource.rate_limited" RETRY "the API asks for a pause before the next request"
        Revoked "grant.revoked" REAUTHORIZE "the API refused this token, which cannot be renewed: create a new one"
    }
}

/// A refusal: an OAuth error, or an HTTP status that means one.
///
/// All text in it was written by the server: it is bounded, and free of control characters and of the secrets that this
/// client sent. `Debug` shows only the names of [`Self::extra`].
#[derive(Debug, Clone, Default)]
pub struct ServerError {
    /// The meaning of the refusal, if neither its code nor its status shows it.
    denial: Option<Denial>,
    status: Option<u16>,
    error: Option<String>,
    /// The registered code that `error` means, if it is another one.
    meaning: Option<String>,
    description: Option<String>,
    uri: Option<String>,
    scheme: Option<String>,
    retry_after: Option<Duration>,
    extra: Extra,
    /// Whether the description is the text of a page.
    is_page: bool,
}

impl ServerError {
    pub(crate) fn from_status(status: u16) -> Self {
        Self {
            status: Some(status),
            ..Self::default()
        }
    }

    /// A refusal with this meaning.
    fn from_denial(denial: Denial, status: Option<u16>) -> Self {
        Self {
            denial: Some(denial),
            status,
            ..Self::default()
        }
    }

    /// A refusal because the API requires this pause before the next request. `status` is that of the reply, if the
    /// limit was in this reply and not in an earlier one.
    pub fn rate_limited(pause: Duration, status: Option<u16>) -> Self {
        Self::from_denial(Denial::RateLimited, status).retry_after(Some(pause))
    }

    /// A refusal of a token that cannot be renewed.
    pub fn revoked() -> Self {
        Self::from_denial(Denial::Revoked, Some(401))
    }

    /// An OAuth error; `error` must not be empty.
    pub(crate) fn from_code(error: &str) -> Self {
        Self::default().with_code(error)
    }

    #[must_use]
    pub(crate) fn with_code(mut self, error: &str) -> Self {
        self.error = Some(printable(error));
        self
    }

    #[must_use]
    pub(crate) fn with_meaning(mut self, code: Option<&str>) -> Self {
        self.meaning = code.map(str::to_owned);
        self
    }

    #[must_use]
    pub(crate) fn with_description(mut self, description: Option<&str>, uri: Option<&str>) -> Self {
        self.description = description.map(printable);
        self.uri = uri.map(printable);
        self
    }

    /// Adds the text of an HTML or plain-text page.
    #[must_use]
    pub(crate) fn with_page_text(mut self, text: &str) -> Self {
        self.description = Some(printable(text)).filter(|text| !text.is_empty());
        self.is_page = true;
        self
    }

    #[must_use]
    pub(crate) fn with_challenge_scheme(mut self, scheme: Option<String>) -> Self {
        self.scheme = scheme.map(|scheme| scheme.chars().take(50).collect());
        self
    }

    #[must_use]
    pub(crate) fn retry_after(mut self, pause: Option<Duration>) -> Self {
        self.retry_after = pause;
        self
    }

    #[must_use]
    pub(crate) fn with_extra(mut self, extra: Map<String, Value>) -> Self {
        self.extra = Extra(extra);
        self
    }

    /// The HTTP status, if the error came in a reply and not in a callback.
    pub const fn status(&self) -> Option<u16> {
        self.status
    }

    /// The `error` code, as the server wrote it.
    pub fn error(&self) -> Option<&str> {
        self.error.as_deref()
    }

    /// The `error_description`; for a reply that has none, its `message`, `detail` or `title`, or the
    /// first 200 characters of a page of text.
    pub fn description(&self) -> Option<&str> {
        self.description.as_deref()
    }

    /// The `error_uri`, unchecked: it is never opened, and its characters are not limited to those of RFC 6749 section 5.2.
    pub fn uri(&self) -> Option<&str> {
        self.uri.as_deref()
    }

    /// The scheme of the first `WWW-Authenticate` challenge, in lower case.
    pub fn scheme(&self) -> Option<&str> {
        self.scheme.as_deref()
    }

    /// The members OAuth does not define, such as Microsoft's `suberror`; for a reply without an OAuth error, `error`
    /// of any type, `message`, `code`, `status`, `detail`, `title` and similar ones. Members that are named like tokens
    /// or contain what this client sent are left out, and all members if they exceed 4 KiB.
    pub const fn extra(&self) -> &Map<String, Value> {
        self.extra.as_map()
    }

    /// The row of the table for this refusal.
    pub fn denial(&self) -> Denial {
        if let Some(denial) = self.denial {
            return denial;
        }
        let error = self.meaning.as_ref().or(self.error.as_ref());
        match (error, &self.scheme, self.status) {
            (Some(error), ..) => Denial::ALL
                .iter()
                .copied()
                .find(|denial| denial.code().strip_prefix("denied.") == Some(error))
                .filter(|denial| denial.text() == error)
                .unwrap_or(Denial::Other),
            (None, Some(_), _) => Denial::Challenge,
            (None, None, Some(408 | 429 | 500 | 502..=504)) => Denial::Busy,
            (None, None, _) => Denial::Status,
        }
    }

    pub(super) fn advice(&self) -> Advice {
        // The status asks to slow down, regardless of the body; and a retry must not be immediate.
        let is_busy = matches!(self.status, Some(408 | 429 | 503));
        match self.denial().advice() {
            Advice::Retry { .. } => self.retry(),
            Advice::GiveUp if is_busy => self.retry(),
            // A 5xx is a temporary failure of the server, unless the error code has another meaning.
            Advice::GiveUp if self.is_unknown_failure() => self.retry(),
            advice => advice,
        }
    }

    fn retry(&self) -> Advice {
        let after = self.retry_after.map(|pause| pause.max(MIN_RETRY_PAUSE));
        Advice::Retry { after }
    }

    /// Whether this refusal of a refresh can only concern the refresh token: `unauthorized_client` for a client that
    /// was authorized before (Atlassian), or a 401 without an OAuth error, from a web framework.
    pub(super) fn is_about_the_grant(&self) -> bool {
        match (self.denial(), self.status) {
            (Denial::UnauthorizedClient, Some(403)) => true,
            (Denial::Other | Denial::Status, Some(401)) => self.scheme.is_none(),
            _ => false,
        }
    }

    /// Whether this is a temporary failure of the server, which does not affect the grant.
    pub(crate) fn is_temporary(&self) -> bool {
        let is_temporary_status = matches!(self.status, Some(408 | 425 | 429 | 500..=599));
        is_temporary_status || matches!(self.denial().advice(), Advice::Retry { .. })
    }

    /// Whether the grant has ended. It has not if Microsoft returns `invalid_grant` with a `suberror` that only
    /// requires an action of the user.
    pub(crate) fn ends_the_grant(&self) -> bool {
        let suberror = self.extra().get("suberror").and_then(Value::as_str);
        let wants_interaction = suberror.is_some_and(|word| INTERACTIVE.contains(&word));
        self.denial() == Denial::InvalidGrant && !wants_interaction
    }

    /// The advice if a refresh was refused. The token was valid before, so a temporary failure is retried, regardless
    /// of the response's content.
    pub(super) fn advice_on_refresh(&self) -> Advice {
        match self.advice() {
            Advice::GiveUp if self.is_temporary() => self.retry(),
            advice => advice,
        }
    }

    fn is_unknown_failure(&self) -> bool {
        let is_failure = self.status.is_some_and(|status| status >= 500);
        is_failure && self.denial() == Denial::Other
    }

    /// Removes secrets, then truncates the text: in the other order, a truncated part of a secret could remain.
    pub(super) fn redact_and_truncate(&mut self, secrets: &[Secret<String>]) {
        let texts = [
            (&mut self.error, 200),
            (&mut self.description, if self.is_page { 200 } else { 1000 }),
            (&mut self.uri, 1000),
        ];
        // A registered error code cannot contain a secret.
        let is_known = |text: &str| {
            !IS_BROWSER_BUILD && Denial::ALL.iter().any(|denial| denial.text() == text)
        };
        for (text, limit) in texts {
            if let Some(text) = text.as_mut().filter(|text| !is_known(text)) {
                *text = redacted(text, secrets, limit);
            }
        }
        self.extra.0.retain(|name, value| {
            !is_token(name, value) && !contains(name, secrets) && !contains_secret(value, secrets)
        });
        if value::map_text(&self.extra.0).len() > MAX_EXTRA {
            self.extra.0.clear();
        }
    }
}

/// The values of Microsoft's `suberror` for which the user can do what the server requires, and the refresh token stays
/// valid.
const INTERACTIVE: [&str; 8] = [
    "additional_action",
    "basic_action",
    "consent_required",
    "device_authentication_failed",
    "interaction_required",
    "login_required",
    "message_only",
    "user_password_expired",
];

/// The shortest pause before a retry, even if the server named a shorter one.
const MIN_RETRY_PAUSE: Duration = Duration::from_secs(1);

/// The size limit of a server's extra members, in bytes of JSON.
const MAX_EXTRA: usize = 4 << 10;

/// Whether a value contains a secret anywhere, or a member that is named like a token.
fn contains_secret(value: &Value, secrets: &[Secret<String>]) -> bool {
    match value {
        Value::String(text) => contains(text, secrets),
        Value::Array(items) => items.iter().any(|item| contains_secret(item, secrets)),
        Value::Object(members) => members.iter().any(|(name, value)| {
            is_token(name, value) || contains(name, secrets) || contains_secret(value, secrets)
        }),
        _ => false,
    }
}

/// Whether a member holds a string under the name of a token, in any case.
fn is_token(name: &str, value: &Value) -> bool {
    let letters: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    let letters = letters.to_ascii_lowercase();
    let is_named = letters.ends_with("token") || letters.ends_with("secret");
    match value {
        Value::String(text) if letters == "code" => !is_error_name(text),
        Value::String(_) => is_named || letters == "session",
        _ => false,
    }
}

/// Whether a string looks like an error code, not like an authorization code, which mixes lower-case letters with
/// digits or is longer.
fn is_error_name(text: &str) -> bool {
    let is_word = |b: u8| b.is_ascii_alphanumeric() || b"_-.:/ ".contains(&b);
    let has_small = text.bytes().any(|b| b.is_ascii_lowercase());
    let has_digit = text.bytes().any(|b| b.is_ascii_digit());
    text.len() <= 64 && text.bytes().all(is_word) && !(has_small && has_digit)
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.denial.map_or("the server refused", Denial::text))?;
        if let Some(error) = &self.error {
            write!(f, ": {error}")?;
        }
        if let Some(description) = &self.description {
            write!(f, ": {description}")?;
        }
        match self.status {
            Some(status) => write!(f, " (HTTP {status})"),
            None => Ok(()),
        }
    }
}
