//! Converts errors to one line of JSON, from which `js/errors.cjs` creates the error classes.

use std::error::Error as _;

use oauth_core::error::{Cause, Error, Loss, Misuse};
use oauth_facade::{ErrorRecord, for_doubles};
use serde_json::{Value, json};

/// The prefix of the text of an OAuth error; an error without it is an ordinary one.
const MARK: &str = "oauth-core:";
/// The prefix of the text of an argument error. The errors of napi itself quote the value, which may be secret, so
/// JavaScript shows the text only of errors with this prefix.
const ARGUMENT: &str = "oauth-core-argument:";

/// The napi error for an OAuth error.
pub(crate) fn fail(error: Error) -> napi::Error {
    napi::Error::from_reason(text(&error))
}

/// The text of an OAuth error: the prefix and the JSON.
pub(crate) fn text(error: &Error) -> String {
    format!("{MARK}{}", record(error))
}

/// An argument of the wrong type or value.
pub(crate) fn invalid(what: &str) -> napi::Error {
    napi::Error::new(napi::Status::InvalidArg, format!("{ARGUMENT}{what}"))
}

/// The error of a wait that was given up.
pub(crate) fn overdue(what: &str) -> Error {
    Error::lost(Cause::unknown(what.to_owned()))
}

/// The error of a caller's own timeout.
pub(crate) fn call_timed_out() -> Error {
    Error::lost(Cause::unknown("the time limit of the call has passed").because(Loss::Timeout))
}

/// The text of the error of a caller's own timeout, for JavaScript.
#[napi_derive::napi]
pub(crate) fn late_error() -> String {
    text(&call_timed_out())
}

/// The text of the error of a wait that JavaScript gave up.
#[napi_derive::napi]
pub(crate) fn overdue_error(what: String) -> String {
    text(&overdue(&what))
}

/// The text of the error for a store without this method.
#[napi_derive::napi]
pub(crate) fn not_supported_error(verb: String) -> String {
    let error = Error::from(Misuse::NotSupported).at_endpoint("store");
    text(&error.about(&verb))
}

/// The text of the error for a call that would wait for the callback in which it is made.
#[napi_derive::napi]
pub(crate) fn deadlock_error(what: String) -> String {
    text(&Error::from(Misuse::Deadlock).about(&what))
}

fn record(error: &Error) -> Value {
    // A struct of strings and numbers always serializes.
    let mut record =
        for_doubles(serde_json::to_value(ErrorRecord::from(error)).unwrap_or_default());
    let mut causes = Vec::new();
    let mut next = error.source();
    while let Some(cause) = next {
        causes.push(cause.to_string());
        next = cause.source();
    }
    causes.dedup();
    if let (Value::Object(members), false) = (&mut record, causes.is_empty()) {
        members.insert("cause".to_owned(), json!(causes.join(": ")));
    }
    record
}
