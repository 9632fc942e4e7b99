//! The error type: its class (whose fault it is), a stable code, and the advice for the caller.

#![cfg_attr(doc, doc = include_str!("../ERRORS.md"))]

mod cause;
mod class;
mod hint;
mod redaction;
mod refusal;
mod server_error;
mod table;
#[cfg(test)]
mod tests;

use std::fmt;
use std::time::Duration;

use serde::ser::{Serialize, SerializeStruct as _, Serializer};

use crate::browser_build::IS_BROWSER_BUILD;
use crate::secret::Secret;

pub use cause::{Cause, Delivery};
pub use class::{Class, Row};
pub use refusal::ApiRefusal;
pub use server_error::{Denial, ServerError};
pub use table::{Advice, Loss, Misuse, ProtocolViolation, ValidationFailure};

/// How much of a request's URL an error keeps, in characters.
const MAX_URL: usize = 300;

/// An error of an exchange: its kind, which names the party at fault, with code and details.
///
/// No error holds a token, a code, a secret, a request or reply body, or a URL's query.
#[derive(Clone)]
pub struct Error(Box<Facts>);

/// Boxed, so that an [`Error`] is one pointer wide: errors are rare, and every call returns a `Result`.
#[derive(Clone)]
struct Facts {
    kind: Kind,
    endpoint: Option<&'static str>,
    /// The method and the URL of the request, or the origin of an API.
    request: Option<Box<str>>,
    detail: Option<Box<str>>,
    source: Option<Cause>,
    is_final: bool,
    is_during_refresh: bool,
    is_refresh_token_doubtful: bool,
    /// The time before another attempt makes sense, if known.
    pause: Option<Duration>,
    is_repeated: bool,
    /// The refusal of a token that was presented to an API.
    refusal: Option<ApiRefusal>,
}

/// The class of the error: which party caused it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Kind {
    /// The server refused, or the request was not sent because an earlier refusal still applies (a pause, a revoked
    /// token).
    Denied(Box<ServerError>),
    /// The server, or an intermediary that responded in its place, broke the protocol.
    Malformed(ProtocolViolation),
    /// A check failed: the message may be forged, replayed or intended for another recipient, or a site does not serve
    /// the request. Never act on its content.
    Untrusted(ValidationFailure),
    /// No response arrived. Whether the request was carried out is in the [`Cause`].
    Lost(Loss),
    /// The call cannot be carried out: its arguments, the settings or the state of the grant do not allow it.
    Misuse(Misuse),
}

impl Kind {
    /// The row of the error table for this kind.
    pub fn row(&self) -> Row {
        match self {
            Self::Denied(server) => Row::Denied(server.denial()),
            Self::Malformed(fault) => Row::Malformed(*fault),
            Self::Untrusted(check) => Row::Untrusted(*check),
            Self::Lost(loss) => Row::Lost(*loss),
            Self::Misuse(misuse) => Row::Misuse(*misuse),
        }
    }
}

impl Error {
    fn new(kind: Kind) -> Self {
        Self(Box::new(Facts {
            kind,
            endpoint: None,
            request: None,
            detail: None,
            source: None,
            is_final: false,
            is_during_refresh: false,
            is_refresh_token_doubtful: false,
            pause: None,
            is_repeated: false,
            refusal: None,
        }))
    }

    /// The error of an exchange that ended because no response arrived.
    pub fn lost(cause: Cause) -> Self {
        let kind = match cause.delivery() {
            Delivery::TooLarge => Kind::Malformed(ProtocolViolation::ReplyTooLarge),
            Delivery::Unsent | Delivery::Unknown => Kind::Lost(cause.loss()),
        };
        Self::new(kind).caused_by(cause)
    }

    /// Names the endpoint the error came from, unless one is named already.
    #[must_use]
    pub fn at_endpoint(mut self, endpoint: &'static str) -> Self {
        self.0.endpoint.get_or_insert(endpoint);
        self
    }

    /// Names the request that failed, unless one is named already: its method, and its URL without the query, which may
    /// hold codes and secrets.
    #[must_use]
    pub(crate) fn at_url(self, method: &str, url: &str) -> Self {
        let url = url.split('?').next().unwrap_or_default();
        if IS_BROWSER_BUILD {
            // The page's module should be small.
            return self.at_request(url.to_owned());
        }
        // A server may have provided this URL, so it may be long: it is truncated when its secrets are removed.
        self.at_request([method, " ", url].concat())
    }

    /// Names the origin of the API that was called, unless a request is named already: the paths of APIs may hold
    /// secrets.
    #[must_use]
    pub fn at_origin(self, origin: &str) -> Self {
        self.at_request(printable(origin))
    }

    fn at_request(mut self, request: String) -> Self {
        self.0.request.get_or_insert(request.into_boxed_str());
        self
    }

    /// Adds the name of the member, parameter or value at fault; never a secret. Control
    /// characters are dropped, and [`Self::detail`] shows 200 characters of the rest.
    #[must_use]
    pub fn about(mut self, detail: &str) -> Self {
        self.0.detail = Some(printable(detail).into_boxed_str());
        self
    }

    /// Marks the exchange as not repeatable: its code was or may have been used.
    #[must_use]
    pub(crate) fn once_only(mut self) -> Self {
        self.0.is_final = true;
        self
    }

    /// Marks the error as the result of a refresh.
    #[must_use]
    pub(crate) fn during_refresh(mut self) -> Self {
        self.0.is_during_refresh = true;
        self
    }

    /// Marks that it is doubtful whether the refresh token will be accepted again: the user should log in.
    #[must_use]
    pub(crate) fn with_doubtful_refresh_token(mut self) -> Self {
        self.0.is_refresh_token_doubtful = true;
        self
    }

    /// Sets the time before another attempt makes sense: shared requests back off after failures.
    #[must_use]
    pub fn pausing(mut self, pause: Duration) -> Self {
        self.0.pause = (!pause.is_zero()).then_some(pause);
        self
    }

    /// Marks an error of an earlier attempt that is returned again without a new one.
    #[must_use]
    pub(crate) fn repeated_after(mut self, pause: Duration) -> Self {
        self.0.is_repeated = true;
        self.pausing(pause)
    }

    /// Adds the underlying error.
    #[must_use]
    pub fn caused_by(mut self, cause: Cause) -> Self {
        self.0.source = Some(cause);
        self
    }

    /// Whether the server may have processed the request although no reply arrived.
    fn is_outcome_unknown(&self) -> bool {
        let is_unsent = |cause: &Cause| cause.delivery() == Delivery::Unsent;
        matches!(self.0.kind, Kind::Lost(_)) && !self.0.source.as_ref().is_some_and(is_unsent)
    }

    /// Whose fault it was.
    pub const fn kind(&self) -> &Kind {
        &self.0.kind
    }

    /// A stable name for programs to match on, such as `callback.state` or `denied.invalid_grant`.
    /// The same code means the same thing in every language.
    pub fn code(&self) -> &'static str {
        self.0.kind.row().code()
    }

    /// The advice for the program.
    pub fn advice(&self) -> Advice {
        match self.kind_advice() {
            // The same request cannot be repeated: the user has to start again.
            Advice::Retry { .. } if self.0.is_final => Advice::Reauthorize,
            Advice::Retry { after } => Advice::Retry {
                after: self.0.pause.or(after),
            },
            advice => advice,
        }
    }

    /// How long to wait before trying again: the pause that the server named, or what is left of the backoff after
    /// failures. A caller that waits this long is not given the same error again without a new request.
    ///
    /// `None` unless the [advice](Self::advice) is `retry`. A source that failed to get a token always names a pause,
    /// of at least a second; an error of a single exchange has one only if the server named it.
    pub fn retry_after(&self) -> Option<Duration> {
        self.advice().after()
    }

    /// Whether this is the error of an earlier attempt, reported without another one because it is too early for one.
    pub const fn is_repeated(&self) -> bool {
        self.0.is_repeated
    }

    /// Whether a stored record cannot be read: it is truncated (`stored.malformed`), or no key decrypts it
    /// (`stored.sealed`). Only a new login replaces it.
    pub const fn is_unreadable_record(&self) -> bool {
        matches!(
            self.0.kind,
            Kind::Misuse(Misuse::StoredForm) | Kind::Untrusted(ValidationFailure::StoredSealed)
        )
    }

    fn kind_advice(&self) -> Advice {
        match &self.0.kind {
            Kind::Denied(server) if self.0.is_during_refresh && server.is_about_the_grant() => {
                Advice::Reauthorize
            }
            Kind::Denied(_) if self.0.is_refresh_token_doubtful => Advice::Reauthorize,
            Kind::Denied(server) if self.0.is_during_refresh => server.advice_on_refresh(),
            Kind::Denied(server) => server.advice(),
            kind => kind.row().advice(),
        }
    }

    /// The endpoint, such as `token` or `revocation`.
    pub const fn endpoint(&self) -> Option<&'static str> {
        self.0.endpoint
    }

    /// The URL that was requested, if its response was wrong or missing: scheme, host and path, at most 300 characters;
    /// never a query, a fragment or a user name, because they may hold secrets. For an API, only the origin.
    pub fn url(&self) -> Option<&str> {
        let request = self.0.request.as_deref()?;
        if IS_BROWSER_BUILD {
            return Some(request);
        }
        Some(request.split_once(' ').map_or(request, |(_, url)| url))
    }

    /// The member, parameter or value at fault.
    pub fn detail(&self) -> Option<&str> {
        let detail = self.0.detail.as_deref()?;
        let length = detail
            .char_indices()
            .nth(200)
            .map_or(detail.len(), |(length, _)| length);
        detail.get(..length)
    }

    /// The server's error response, if the server refused the request.
    pub fn server_error(&self) -> Option<&ServerError> {
        match &self.0.kind {
            Kind::Denied(server) => Some(server),
            _ => None,
        }
    }

    /// The cause, if no response arrived.
    pub const fn cause(&self) -> Option<&Cause> {
        self.0.source.as_ref()
    }

    /// Removes each of the `secrets` from the server's text: some servers echo what they received.
    #[must_use]
    pub(crate) fn redact(mut self, secrets: &[Secret<String>]) -> Self {
        if let Kind::Denied(server) = &mut self.0.kind {
            server.redact_and_truncate(secrets);
        }
        if let Some(detail) = &mut self.0.detail {
            *detail = redaction::redacted(detail, secrets, 200).into_boxed_str();
        }
        if let Some(request) = self.0.request.as_mut().filter(|_| !IS_BROWSER_BUILD) {
            // This is not the server's text: it contains a short secret only by chance.
            let is_long = |secret: &&Secret<String>| {
                secret.expose().len() >= redaction::MIN_BYTES_REDACTED_ANYWHERE
            };
            let long_secrets: Vec<_> = secrets.iter().filter(is_long).cloned().collect();
            let method = request.find(' ').map_or(0, |space| space + 1);
            let request_text = redaction::redacted(request, &long_secrets, method + MAX_URL);
            *request = request_text.into_boxed_str();
        }
        self
    }
}

impl From<ProtocolViolation> for Error {
    fn from(fault: ProtocolViolation) -> Self {
        Self::new(Kind::Malformed(fault))
    }
}

impl From<ValidationFailure> for Error {
    fn from(check: ValidationFailure) -> Self {
        Self::new(Kind::Untrusted(check))
    }
}

impl From<Misuse> for Error {
    fn from(misuse: Misuse) -> Self {
        Self::new(Kind::Misuse(misuse))
    }
}

impl From<ServerError> for Error {
    fn from(server: ServerError) -> Self {
        Self::new(Kind::Denied(Box::new(server)))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(endpoint) = self.0.endpoint {
            write!(f, "{endpoint}: ")?;
        }
        if let Some(request) = &self.0.request {
            write!(f, "{request}: ")?;
        }
        match &self.0.kind {
            Kind::Denied(server) => write!(f, "{server}")?,
            kind => f.write_str(kind.row().text())?,
        }
        if let Some(detail) = self.detail() {
            write!(f, ": {detail}")?;
        }
        if let (Kind::Lost(_), Some(cause)) = (&self.0.kind, &self.0.source) {
            write!(f, ": {}", printable(&cause.root_message()))?;
        }
        if self.0.is_final && self.is_outcome_unknown() {
            f.write_str(": the code may have been used, so start a new login")?;
        }
        let pause = self.0.pause.filter(|_| self.0.is_repeated);
        if let (Some(pause), Advice::Retry { .. } | Advice::GiveUp) = (pause, self.advice()) {
            write!(f, ": repeated; next attempt in {} s", pause.as_secs())?;
        }
        write!(f, " [{}]", self.code())
    }
}

/// The text of `Display` and the [hint](Error::hint), as printed if `main` returns the error.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)?;
        match self.hint().filter(|_| !IS_BROWSER_BUILD) {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_ref().map(|cause| cause as _)
    }
}

impl Serialize for Error {
    /// The JSON form that every binding and `--json` show: `code`, `message`, `advice`, `retry_after` (seconds),
    /// `repeated`, `endpoint`, `url`, `cause`, and, for a refusal, `status`, `error`, `error_description`.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let server = self.server_error();
        let advice = self.advice();
        let mut record = serializer.serialize_struct("Error", 11)?;
        record.serialize_field("code", self.code())?;
        record.serialize_field("message", &self.to_string())?;
        record.serialize_field("advice", advice.as_str())?;
        let pause = self.retry_after().map(|pause| pause.as_secs());
        record.serialize_field("retry_after", &pause)?;
        record.serialize_field("repeated", &self.0.is_repeated)?;
        record.serialize_field("endpoint", &self.0.endpoint)?;
        record.serialize_field("url", &self.url())?;
        record.serialize_field("status", &server.and_then(ServerError::status))?;
        record.serialize_field("error", &server.and_then(ServerError::error))?;
        record.serialize_field(
            "error_description",
            &server.and_then(ServerError::description),
        )?;
        let cause = self.0.source.as_ref().map(ToString::to_string);
        record.serialize_field("cause", &cause)?;
        record.end()
    }
}

/// `text` without control and invisible characters. A peer's text is written to logs and terminals: a line break or an
/// escape sequence could forge a log line or control the terminal, and a direction mark or a zero-width space could
/// make the text look different.
pub(crate) fn printable(text: &str) -> String {
    let is_format = |c: char| {
        matches!(
            c,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
    };
    text.chars()
        .filter(|&c| !c.is_control() && !is_format(c))
        .collect()
}
