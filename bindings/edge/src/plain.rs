//! Conversion of plain objects to and from JavaScript, as JSON: absent members stay absent.

use std::time::Duration;

use js_sys::{JSON, Object, Reflect};
use oauth_core::moment::UnixTime;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use wasm_bindgen::prelude::*;

use crate::error::invalid;

/// An object with members of plain data.
pub(crate) fn read<T: DeserializeOwned>(object: &JsValue, message: &str) -> Result<T, JsValue> {
    let text = JSON::stringify(object).ok();
    let text = text.and_then(|text| text.as_string());
    // An error of serde quotes its input, which may be a secret.
    let value = text.and_then(|text| serde_json::from_str(&text).ok());
    value.ok_or_else(|| invalid(message))
}

/// A JavaScript object with these members, except for those that are null.
pub(crate) fn object(members: &[(&str, Value)]) -> Object {
    let members = members.iter().filter(|(_, value)| !value.is_null());
    let members: Map<_, _> = members
        .map(|(name, value)| ((*name).to_owned(), value.clone()))
        .collect();
    let parsed = JSON::parse(&Value::Object(members).to_string());
    parsed
        .ok()
        .and_then(|parsed| parsed.dyn_into().ok())
        .unwrap_or_default()
}

/// The object, with one more member.
pub(crate) fn with(object: Object, name: &str, value: impl Into<JsValue>) -> Object {
    // A plain object takes any member.
    let _ = Reflect::set(&object, &name.into(), &value.into());
    object
}

/// The member of this name; nothing if it is absent, undefined or null.
pub(crate) fn member(object: &JsValue, name: &str) -> Option<JsValue> {
    let value = Reflect::get(object, &name.into()).ok()?;
    (!value.is_undefined() && !value.is_null()).then_some(value)
}

/// Milliseconds from JavaScript; an invalid number means no pause.
pub(crate) fn millis(value: f64) -> Duration {
    Duration::try_from_secs_f64(value / 1000.0).unwrap_or(Duration::MAX)
}

pub(crate) fn to_millis(pause: Duration) -> f64 {
    pause.as_secs_f64() * 1000.0
}

/// In milliseconds since 1970.
#[expect(clippy::cast_precision_loss, reason = "exact for eons")]
pub(crate) fn unix_millis(time: UnixTime) -> f64 {
    time.as_secs() as f64 * 1000.0
}

/// A version, or a number of seconds, from JavaScript.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "versions stay below 2^53, and the cast saturates"
)]
pub(crate) fn to_u64(number: f64) -> u64 {
    if number.is_finite() && number >= 0.0 {
        number as u64
    } else {
        u64::MAX
    }
}
