//! Errors, as one line of JSON that `js/errors.cjs` turns into classes.

use std::error::Error as _;

use oauth_core::error::{Cause, Error, Loss, Misuse};
use oauth_facade::{ErrorRecord, for_doubles};
use serde_json::{Value, json};

/// The prefix of the text of such an error; an error without it is a plain one.
const MARK: &str = "oauth-core:";
/// What the text of an error about an argument begins with. Those that napi makes by itself quote the value, which may be
/// a secret: JavaScript shows the text of none that is not marked.
const ARGUMENT: &str = "oauth-core-argument:";

/// An error of an exchange, on its way to JavaScript.
pub(crate) fn fail(error: Error) -> napi::Error {
    napi::Error::from_reason(text(&error))
}

/// The text of such an error.
pub(crate) fn text(error: &Error) -> String {
    format!("{MARK}{}", record(error))
}

/// An argument of the wrong type or value.
pub(crate) fn invalid(what: &str) -> napi::Error {
    napi::Error::new(napi::Status::InvalidArg, format!("{ARGUMENT}{what}"))
}

/// The error of a wait that the caller has given up.
pub(crate) fn overdue(what: &str) -> Error {
    Error::lost(Cause::unknown(what.to_owned()))
}

/// The error of a caller's own timeout.
pub(crate) fn late() -> Error {
    Error::lost(Cause::unknown("no answer in time").because(Loss::Timeout))
}

/// The error of a caller's timeout that JavaScript keeps.
#[napi_derive::napi]
pub(crate) fn late_error() -> String {
    text(&late())
}

/// The error of a wait that JavaScript gave up.
#[napi_derive::napi]
pub(crate) fn overdue_error(what: String) -> String {
    text(&overdue(&what))
}

/// The error of a store that has no such method.
#[napi_derive::napi]
pub(crate) fn not_supported_error(verb: String) -> String {
    let error = Error::from(Misuse::NotSupported).at_endpoint("store");
    text(&error.about(&verb))
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
