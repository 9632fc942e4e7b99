//! Errors, as the JavaScript class that the page registered.

use std::cell::RefCell;
use std::error::Error as _;

use oauth_facade::{Cause, Error, ErrorRecord, Loss, Misuse, ProtocolViolation, ValidationFailure};
use wasm_bindgen::prelude::*;

use crate::js::Function;

thread_local! {
    /// The function that creates an error from the JSON of a record; set before anything else is called.
    static CLASS: RefCell<Option<Function>> = const { RefCell::new(None) };
}

/// Sets the function that creates an error from the JSON of a record.
#[wasm_bindgen(js_name = setErrorClass)]
pub fn set_error_class(make: Function) {
    CLASS.set(Some(make));
}

/// The JavaScript error for an OAuth error.
pub(crate) fn fail(error: Error) -> JsValue {
    let cause = error.source().map(ToString::to_string);
    let record = JsValue::from_str(&ErrorRecord::from(&error).to_json(cause));
    let js_error = CLASS.with_borrow(|make| {
        let make = make.as_ref()?;
        make.call(&JsValue::NULL, &record).ok()
    });
    js_error.unwrap_or(record)
}

/// The error of a wait that ended without a response.
#[wasm_bindgen(js_name = lostError)]
pub fn lost_error(reason: &str) -> JsValue {
    fail(Error::lost(Cause::unknown_as(reason)))
}

/// The error of a caller's own timeout.
#[wasm_bindgen(js_name = lateError)]
pub fn late_error() -> JsValue {
    let late = Cause::unknown_as("the time limit");
    fail(Error::lost(late.because(Loss::Timeout)))
}

/// The error of a callback that belongs to no flow of this tab.
#[wasm_bindgen(js_name = unknownCallbackError)]
pub fn unknown_callback_error() -> JsValue {
    fail(ValidationFailure::CallbackState.into())
}

/// The error of a redirect by an API: its target is hidden from the page, so it is not followed.
#[wasm_bindgen(js_name = redirectError)]
pub fn redirect_error() -> JsValue {
    fail(ProtocolViolation::ReplyRedirect.into())
}

/// The error of a client secret, if the server is not known yet.
#[wasm_bindgen(js_name = secretError)]
pub fn secret_error() -> JsValue {
    let reason = "everyone who opens the page could read it";
    fail(Error::from(Misuse::SecretNotAllowed).about(reason))
}

/// The error of a session that has ended.
#[wasm_bindgen(js_name = signedOutError)]
pub fn signed_out_error() -> JsValue {
    fail(Error::from(Misuse::NoRefreshToken).about("signed out"))
}
