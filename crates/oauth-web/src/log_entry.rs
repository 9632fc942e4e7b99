//! The log entries of a site.

use oauth_core::error::{Error, Kind};

/// A log entry: codes and reasons, never a cookie, a token or a name.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogEntry {
    /// A code of the error table.
    pub code: &'static str,
    /// The details, in one line.
    pub detail: String,
    /// Whether it shows a fault of the site, its settings or its provider, which the site's operator should see. Any
    /// visitor can cause the others.
    pub is_site_fault: bool,
}

impl LogEntry {
    pub(crate) fn new(code: &'static str, detail: String) -> Self {
        Self {
            code,
            detail,
            is_site_fault: is_site_fault(code),
        }
    }

    /// The log entry of an error that a host encountered, with its hint.
    pub fn from_error(error: &Error) -> Self {
        let detail = match error.hint() {
            Some(hint) => format!("{error}; {hint}"),
            None => error.to_string(),
        };
        Self::new(error.code(), detail)
    }

    /// The log entry of a message that anyone can post: if it is malformed, that is not the site's fault.
    pub(crate) fn from_error_of_message(error: &Error) -> Self {
        let is_of_message = matches!(error.kind(), Kind::Malformed(_) | Kind::Untrusted(_));
        let entry = Self::from_error(error);
        Self {
            is_site_fault: entry.is_site_fault && !is_of_message,
            ..entry
        }
    }
}

fn is_site_fault(code: &str) -> bool {
    match code {
        "web.setup" | "web.response_large" | "web.session_too_large" | "web.session_unknown" => {
            true
        }
        "callback.encoding"
        | "callback.state"
        | "callback.too_large"
        | "logout.malformed"
        | "logout.state"
        | "return_to.refused"
        | "denied.access_denied"
        | "denied.invalid_grant" => false,
        code => {
            let needs_the_user = code.starts_with("denied.") && code.ends_with("_required");
            !code.starts_with("web.") && !needs_the_user
        }
    }
}
