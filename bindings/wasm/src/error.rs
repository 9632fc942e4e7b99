//! Errors, as the JavaScript class that the page registered.

use std::cell::RefCell;
use std::error::Error as _;

use oauth_facade::{Cause, Error, ErrorRecord, Loss, Misuse, ProtocolViolation, ValidationFailure};
use wasm_bindgen::prelude::*;

use crate::js::Function;

thread_local! {
    /// Makes an error of a record's JSON; named once, before anything else is called.
    static CLASS: RefCell<Option<Function>> = const { RefCell::new(None) };
}

/// Names the function that makes an error of a record's JSON.
#[wasm_bindgen(js_name = setErrorClass)]
pub fn set_error_class(make: Function) {
    CLASS.set(Some(make));
}

/// The napi error for an OAuth error.
pub(crate) fn fail(error: Error) -> JsValue {
    let cause = error.source().map(ToString::to_string);
    let record = JsValue::from_str(&ErrorRecord::from(&error).to_json(cause));
    let made = CLASS.with_borrow(|make| {
        let make = make.as_ref()?;
        make.call(&JsValue::NULL, &record).ok()
    });
    made.unwrap_or(record)
}

/// A wait that ended without an answer.
#[wasm_bindgen(js_name = lostError)]
pub fn lost_error(why: &str) -> JsValue {
    fail(Error::lost(Cause::unknown_as(why)))
}

/// A caller's own timeout.
#[wasm_bindgen(js_name = lateError)]
pub fn late_error() -> JsValue {
    let late = Cause::unknown_as("no answer in time");
    fail(Error::lost(late.because(Loss::Timeout)))
}

/// A callback that belongs to no flow of this tab.
#[wasm_bindgen(js_name = strangerError)]
pub fn stranger_error() -> JsValue {
    fail(ValidationFailure::CallbackState.into())
}

/// A resource's redirect: where it leads is hidden from the page, so it is not followed.
#[wasm_bindgen(js_name = redirectError)]
pub fn redirect_error() -> JsValue {
    fail(ProtocolViolation::ReplyRedirect.into())
}

/// A client secret, where nothing is known of the server yet.
#[wasm_bindgen(js_name = secretError)]
pub fn secret_error() -> JsValue {
    let why = "everyone who opens the page could read it";
    fail(Error::from(Misuse::SecretNotAllowed).about(why))
}

/// The tokens are gone.
#[wasm_bindgen(js_name = signedOutError)]
pub fn signed_out_error() -> JsValue {
    fail(Error::from(Misuse::NoRefreshToken).about("signed out"))
}
