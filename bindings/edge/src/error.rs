//! Converts errors to one line of JSON, from which `js/errors.cjs` creates the error classes.

use std::error::Error as _;

use oauth_core::error::{Cause, Error, Loss, Misuse};
use oauth_facade::{ErrorRecord, for_doubles};
use serde_json::{Value, json};
use wasm_bindgen::prelude::*;

/// The prefix of the text of an OAuth error; an error without it is an ordinary one.
const MARK: &str = "oauth-core:";

/// The JavaScript error for an OAuth error.
pub(crate) fn fail(error: Error) -> JsValue {
    js_sys::Error::new(&marked_text(&error)).into()
}

/// The text of an OAuth error: the prefix and the JSON.
fn marked_text(error: &Error) -> String {
    format!("{MARK}{}", record(error))
}

/// An argument of the wrong type or value.
pub(crate) fn invalid(message: &str) -> JsValue {
    js_sys::TypeError::new(message).into()
}

/// The error of a store call that failed, or of a renewal.
#[wasm_bindgen]
pub struct NativeFailure(pub(crate) Error);

#[wasm_bindgen]
impl NativeFailure {
    /// The error of a store, with this code.
    pub fn of(code: &str, reason: &str) -> Self {
        Self(oauth_facade::error_from_code(code, reason, None).at_endpoint("store"))
    }

    /// Its code.
    #[wasm_bindgen(getter)]
    pub fn code(&self) -> String {
        self.0.code().to_owned()
    }

    /// Its text, as of any other error.
    #[wasm_bindgen(getter)]
    pub fn text(&self) -> String {
        marked_text(&self.0)
    }
}

/// The text of the error of a caller's own timeout, for JavaScript.
#[wasm_bindgen(js_name = lateError)]
pub fn late_error() -> String {
    let cause = Cause::unknown("the time limit of the call has passed");
    marked_text(&Error::lost(cause.because(Loss::Timeout)))
}

/// The text of the error of a wait that JavaScript gave up.
#[wasm_bindgen(js_name = overdueError)]
pub fn overdue_error(operation: String) -> String {
    marked_text(&Error::lost(Cause::unknown(operation)))
}

/// The text of the error for a store without this method.
#[wasm_bindgen(js_name = notSupportedError)]
pub fn not_supported_error(verb: &str) -> String {
    let error = Error::from(Misuse::NotSupported).at_endpoint("store");
    marked_text(&error.about(verb))
}

/// The text of the error for a call that would wait for the callback in which it is made.
#[wasm_bindgen(js_name = deadlockError)]
pub fn deadlock_error(what: &str) -> String {
    marked_text(&Error::from(Misuse::Deadlock).about(what))
}

/// The text of the error for a feature that edge runtimes do not have.
#[wasm_bindgen(js_name = unsupportedRuntimeError)]
pub fn unsupported_runtime_error(feature: &str) -> String {
    let reason = format!("{feature} is not available in an edge runtime");
    marked_text(&Error::from(Misuse::NotSupported).about(&reason))
}

/// The text of the error with this code, which JavaScript detected.
#[wasm_bindgen(js_name = errorMessage)]
pub fn error_message(code: &str, reason: &str) -> String {
    marked_text(&oauth_facade::error_from_code(code, reason, None))
}

/// The text of the error for missing environment variables.
#[wasm_bindgen(js_name = missingVariablesError)]
pub fn missing_variables_error(names: &str) -> String {
    marked_text(&Error::from(Misuse::EnvironmentMissing).about(names))
}

/// The text of the error for incomplete or contradictory settings.
#[wasm_bindgen(js_name = webSetupError)]
pub fn web_setup_error(detail: &str) -> String {
    marked_text(&Error::from(Misuse::WebSetup).about(detail))
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
