//! Responses of the site: pages, JSON, redirects and problems.

use std::fmt;

use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, REFERRER_POLICY, RETRY_AFTER,
    SET_COOKIE, VARY, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use oauth_core::error::{Advice, Error, Kind};
use serde_json::json;

use crate::client_connections::RETRY_PAUSE;
use crate::html;
use crate::session::Identity;

/// A response, to be sent unchanged. It must not be cached.
#[derive(Clone)]
#[non_exhaustive]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// All header fields; `Set-Cookie` may occur several times.
    pub headers: HeaderMap,
    /// The body, in UTF-8.
    pub body: String,
    /// The problem, for an application that renders its own error page: that page keeps the status and the header
    /// fields, except `Content-Type` and `Content-Security-Policy`.
    pub problem: Option<Problem>,
    /// The user who was signed out, for an application that stores data of its own for them: they signed out here,
    /// their provider announced it (in the back or the front channel, with any number of sessions), or another user is
    /// now signed in at the provider.
    pub signed_out: Option<Box<Identity>>,
}

/// The part of an error that is shown to the user or to a page's script.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// The code of the error table.
    pub code: &'static str,
    /// One sentence. A user who can do nothing about the error is shown that sign-in does not work right now; the log
    /// contains the rest.
    pub title: String,
    /// More detail, if the application has given a reason, or the reader can do something about it.
    pub detail: Option<String>,
    /// The login page, if signing in again may help.
    pub sign_in: Option<String>,
}

/// The reader of a problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reader {
    User,
    Script,
}

impl Reply {
    fn new(status: StatusCode) -> Self {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            (CACHE_CONTROL, "no-store"),
            (REFERRER_POLICY, "no-referrer"),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        Self {
            status,
            headers,
            body: String::new(),
            problem: None,
            signed_out: None,
        }
    }

    /// A response without a body.
    pub(crate) fn empty(status: StatusCode) -> Self {
        Self::new(status)
    }

    /// A redirect that is followed with GET (RFC 9700 section 4.12).
    pub(crate) fn see_other(url: &str) -> Self {
        let mut reply = Self::new(StatusCode::SEE_OTHER);
        match HeaderValue::from_str(url) {
            Ok(url) => reply.headers.insert(LOCATION, url),
            Err(_) => reply
                .headers
                .insert(LOCATION, HeaderValue::from_static("/")),
        };
        reply
    }

    /// A page with this HTML in its body.
    pub(crate) fn page(status: StatusCode, title: &str, body: &str) -> Self {
        let mut reply = Self::new(status);
        reply.set_header(CONTENT_TYPE, "text/html; charset=utf-8");
        reply.set_header(
            CONTENT_SECURITY_POLICY,
            "default-src 'none'; base-uri 'none'; frame-ancestors 'none'",
        );
        reply.body = html::page(title, body);
        reply
    }

    pub(crate) fn json(status: StatusCode, value: &serde_json::Value) -> Self {
        let mut reply = Self::new(status);
        reply.set_header(CONTENT_TYPE, "application/json");
        reply.set_header(VARY, "Cookie");
        reply.body = value.to_string();
        reply
    }

    /// The response to an error: a page, or `application/problem+json` (RFC 9457).
    pub(crate) fn problem(error: &Error, reader: Reader, sign_in: Option<String>) -> Self {
        Self::problem_page(status(error), error, reader, sign_in)
    }

    /// The response if a provider could not be reached, with a status that says whose fault it is: the provider's or
    /// the host's.
    pub(crate) fn unready(error: &Error, reader: Reader, sign_in: String) -> Self {
        let status = match error.kind() {
            Kind::Lost(_) => StatusCode::SERVICE_UNAVAILABLE,
            Kind::Misuse(_) => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::BAD_GATEWAY,
        };
        let mut reply = Self::problem_page(status, error, reader, Some(sign_in));
        if status != StatusCode::INTERNAL_SERVER_ERROR {
            let pause = error.retry_after().unwrap_or(RETRY_PAUSE);
            reply.set_header(RETRY_AFTER, &pause.as_secs().max(1).to_string());
        }
        reply
    }

    fn problem_page(
        status: StatusCode,
        error: &Error,
        reader: Reader,
        sign_in: Option<String>,
    ) -> Self {
        let problem = Problem::from_error(error, reader, sign_in);
        let mut reply = match reader {
            Reader::User => Self::page(status, &problem.title, &problem.html()),
            Reader::Script => {
                let mut reply = Self::new(status);
                reply.set_header(CONTENT_TYPE, "application/problem+json");
                reply.body = problem.json(status);
                reply
            }
        };
        if status == StatusCode::UNAUTHORIZED {
            // "MUST send a WWW-Authenticate header field" (RFC 9110 section 15.5.2); with this scheme, no browser asks
            // for a password.
            reply.set_header(WWW_AUTHENTICATE, "Cookie");
        }
        reply.problem = Some(problem);
        reply
    }

    /// With this detail instead of the usual hint.
    pub(crate) fn with_detail(mut self, detail: &str, reader: Reader) -> Self {
        if let Some(problem) = &mut self.problem {
            problem.detail = Some(detail.to_owned());
            self.body = match reader {
                Reader::User => html::page(&problem.title, &problem.html()),
                Reader::Script => problem.json(self.status),
            };
        }
        self
    }

    pub(crate) fn set_header(&mut self, name: HeaderName, value: &str) {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
    }

    /// The number of bytes of the header fields on the wire.
    pub(crate) fn header_bytes(&self) -> usize {
        let fields = self.headers.iter();
        fields
            .map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len())
            .sum()
    }

    /// Adds these cookies.
    pub(crate) fn with_cookies(mut self, cookies: impl IntoIterator<Item = String>) -> Self {
        for cookie in cookies {
            if let Ok(cookie) = HeaderValue::from_str(&cookie) {
                self.headers.append(SET_COOKIE, cookie);
            }
        }
        self
    }
}

impl Problem {
    fn from_error(error: &Error, reader: Reader, sign_in: Option<String>) -> Self {
        let code = error.code();
        let title = match (error.kind(), reader) {
            (Kind::Denied(_), _) if is_temporary_provider_failure(code) => {
                "the provider is not available right now"
            }
            (_, Reader::User) if !is_caused_by_user(error) => "sign-in does not work right now",
            // The error table has only the provider's codes for these.
            (Kind::Denied(_), _) => refusal_sentence(error),
            _ => error.kind().row().text(),
        };
        let is_hint_shown = match reader {
            Reader::User => ["web.callback_unknown", "callback.state"].contains(&code),
            Reader::Script => code.starts_with("web."),
        };
        Self {
            code,
            title: capitalized(title),
            // The error's own detail may quote what was sent, and most hints are for the operator of the site: both
            // belong in the log.
            detail: error.hint().filter(|_| is_hint_shown).map(capitalized),
            sign_in,
        }
    }

    fn html(&self) -> String {
        html::problem(self.code, self.detail.as_deref(), self.sign_in.as_deref())
    }

    fn json(&self, status: StatusCode) -> String {
        let mut json = json!({
            "type": "about:blank",
            "title": self.title,
            "status": status.as_u16(),
            "code": self.code,
        });
        if let Some(members) = json.as_object_mut() {
            if let Some(detail) = &self.detail {
                members.insert("detail".to_owned(), detail.as_str().into());
            }
            if let Some(sign_in) = &self.sign_in {
                members.insert("login".to_owned(), sign_in.as_str().into());
            }
        }
        json.to_string()
    }
}

/// Whether the error was caused by an action of the user, rather than by the site, its settings or its provider.
fn is_caused_by_user(error: &Error) -> bool {
    match error.kind() {
        Kind::Misuse(_) | Kind::Lost(_) | Kind::Malformed(_) => false,
        Kind::Denied(_) => {
            error.advice() == Advice::Reauthorize || error.code() == "denied.access_denied"
        }
        _ => true,
    }
}

/// The status for a refusal by the provider. It depends on the cause: the provider, the user, or the site's settings,
/// such as a wrong secret.
fn status_of_denial(error: &Error) -> StatusCode {
    match (error.code(), error.advice()) {
        ("denied.server_error" | "denied.http_status" | "denied.http_challenge", _) => {
            StatusCode::BAD_GATEWAY
        }
        (code, _) if is_temporary_provider_failure(code) => StatusCode::SERVICE_UNAVAILABLE,
        (_, Advice::Reauthorize) => StatusCode::BAD_REQUEST,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// A sentence about the provider's refusal.
fn refusal_sentence(error: &Error) -> &'static str {
    match error.code() {
        "denied.access_denied" => "you, or a rule of the provider, did not allow the sign-in",
        "denied.login_required"
        | "denied.interaction_required"
        | "denied.account_selection_required"
        | "denied.consent_required" => "the provider has to ask you something first",
        _ if error.advice() == Advice::Reauthorize => "this sign-in is over",
        _ => "the provider refused the sign-in",
    }
}

/// Whether the code reports a temporary failure of the provider.
fn is_temporary_provider_failure(code: &str) -> bool {
    [
        "denied.temporarily_unavailable",
        "denied.server_error",
        "denied.busy",
        "denied.slow_down",
    ]
    .contains(&code)
}

fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(char::to_uppercase);
    let first = first.into_iter().flatten();
    first.chain(letters).chain(['.']).collect()
}

fn status(error: &Error) -> StatusCode {
    match error.code() {
        "web.signed_out" | "web.step_up" => StatusCode::UNAUTHORIZED,
        "web.cross_site" | "web.step_up_failed" | "web.another_person" | "web.not_admitted" => {
            StatusCode::FORBIDDEN
        }
        "web.loop" => StatusCode::LOOP_DETECTED,
        "web.not_found" => StatusCode::NOT_FOUND,
        "web.method" => StatusCode::METHOD_NOT_ALLOWED,
        "denied.access_denied" => StatusCode::FORBIDDEN,
        _ => match error.kind() {
            Kind::Lost(_) => StatusCode::SERVICE_UNAVAILABLE,
            Kind::Misuse(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Kind::Denied(_) => status_of_denial(error),
            _ => StatusCode::BAD_REQUEST,
        },
    }
}

impl fmt::Debug for Reply {
    /// Shows the status and the names of header fields: their values hold cookies and states.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply")
            .field("status", &self.status)
            .field("headers", &self.headers.keys().collect::<Vec<_>>())
            .field("problem", &self.problem)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use oauth_core::error::{Cause, Misuse, ValidationFailure};

    use super::*;

    /// The text of an error for this reader.
    fn read(error: &Error, reader: Reader) -> String {
        Reply::problem(error, reader, None).body
    }

    #[test]
    fn advice_for_the_operator_is_not_shown_to_visitors() {
        let errors: [Error; 4] = [
            Misuse::SecretMissing.into(),
            Misuse::WebSessionTooLarge.into(),
            Error::lost(Cause::unknown("secret.example").because(oauth_core::error::Loss::Connect)),
            ValidationFailure::WebLoop.into(),
        ];
        for error in errors {
            let hint = error.hint().map(capitalized).unwrap_or_default();
            assert!(!hint.is_empty(), "{error}");
            let page = read(&error, Reader::User);
            assert!(!page.contains(&html::escape(&hint)), "{page}");
            assert!(page.contains(error.code()), "{page}");
            let is_site_fault = !matches!(error.kind(), Kind::Untrusted(_));
            assert_eq!(
                page.contains("Sign-in does not work right now."),
                is_site_fault
            );
            // The log contains it.
            assert!(
                crate::LogEntry::from_error(&error)
                    .detail
                    .contains(error.hint().unwrap_or_default())
            );
        }
        let script = read(&Misuse::SecretMissing.into(), Reader::Script);
        assert!(!script.contains("detail"), "{script}");
    }

    #[test]
    fn error_pages_say_what_the_user_can_do() {
        let page = read(&ValidationFailure::WebCallbackUnknown.into(), Reader::User);
        assert!(
            page.contains("Sign in again") || page.contains("sign in again"),
            "{page}"
        );
    }
}
