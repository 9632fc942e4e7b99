//! Conversion of plain values from JavaScript.

use std::sync::Arc;

use js_sys::{Array, Date, Object};
use oauth_core::moment::UnixTime;
use oauth_facade::{Arg, Args, StartError, TokenRequest, for_doubles};
use serde_json::{Value, json};
use wasm_bindgen::prelude::*;

use crate::error::{fail, invalid};
use crate::plain::to_u64;
use crate::tokens;

/// The arguments of an operation, in the order of its definition.
pub(crate) fn arguments(values: &Array) -> Args {
    Args::from(list(values))
}

/// The parameters of a token request: scope, resource, audience, extra and authorization_details.
pub(crate) fn token_request(values: &Array) -> Result<TokenRequest, JsValue> {
    TokenRequest::read(&mut arguments(values)).map_err(refused)
}

/// The parameters of a token request in canonical form, to compare requests.
#[wasm_bindgen(js_name = requestKey)]
pub fn request_key(values: &Array) -> Result<String, JsValue> {
    let request = token_request(values)?.to_core().map_err(fail)?;
    let mut scope: Vec<_> = request.scope.iter().collect();
    scope.sort_unstable();
    let parameters = request.iter();
    let mut parameters: Vec<_> = parameters
        .map(|(name, value)| (name, value.expose()))
        .collect();
    parameters.sort_unstable();
    Ok(json!([scope, parameters]).to_string())
}

/// What distinguishes the grant of a step-up, as JSON; nothing if it is that of an ordinary login.
#[wasm_bindgen(js_name = distinguishingStepUp)]
pub fn distinguishing_step_up(step_up: &str) -> Result<Option<String>, JsValue> {
    oauth_facade::distinguishing_step_up(step_up).map_err(fail)
}

/// The step-ups of a stored list, as JSON each.
#[wasm_bindgen(js_name = listedStepUps)]
pub fn listed_step_ups(record: &str) -> Result<Vec<String>, JsValue> {
    oauth_facade::listed_step_ups(record).map_err(fail)
}

/// The error of an operation that did not begin.
pub(crate) fn refused(refused: StartError) -> JsValue {
    match refused {
        StartError::Argument(mismatch) => invalid(&mismatch.in_camel_case()),
        StartError::Call(error) => fail(error),
    }
}

/// The members of a record as one JSON array: parsing it is cheaper than as many crossings.
pub(crate) fn members(members: Vec<Arg>) -> String {
    Value::Array(members.into_iter().map(arg_to_json).collect()).to_string()
}

fn arg_to_json(arg: Arg) -> Value {
    match arg {
        // Tokens have a record of their own.
        Arg::Null | Arg::Tokens(_) | Arg::Other => Value::Null,
        Arg::Bool(flag) => flag.into(),
        Arg::Number(number) => number.into(),
        Arg::Text(text) => text.expose().clone().into(),
        Arg::Names(names) => names.iter().collect(),
        Arg::List(list) => list.into_iter().map(arg_to_json).collect(),
        Arg::Pairs(pairs) => pairs
            .into_iter()
            .map(|(name, value)| (name, arg_to_json(value)))
            .collect(),
        Arg::Time(time) => json!(time.as_secs()),
        Arg::Json(value) => for_doubles(value),
    }
}

fn list(array: &Array) -> Vec<Arg> {
    array.iter().map(arg).collect()
}

fn arg(value: JsValue) -> Arg {
    if value.is_null() || value.is_undefined() {
        return Arg::Null;
    }
    if let Some(flag) = value.as_bool() {
        return Arg::Bool(flag);
    }
    if let Some(number) = value.as_f64() {
        return Arg::Number(number);
    }
    if let Some(text) = value.as_string() {
        return Arg::Text(text.into());
    }
    if let Some(array) = value.dyn_ref::<Array>() {
        return Arg::List(list(array));
    }
    if let Some(date) = value.dyn_ref::<Date>() {
        let ms = Some(date.get_time()).filter(|ms| ms.is_finite() && *ms >= 0.0);
        let time = ms.map(|ms| Arg::Time(UnixTime::from_secs(to_u64(ms / 1000.0))));
        return time.unwrap_or(Arg::Other);
    }
    if let Some(tokens) = tokens::from_js(&value) {
        return Arg::Tokens(Arc::new(tokens));
    }
    // `instanceof` fails for an object without a prototype, so its type is checked.
    let Some(object) = Object::try_from(&value) else {
        return Arg::Other;
    };
    let pairs = Object::entries(object).into_iter().filter_map(|pair| {
        let pair = Array::from(&pair);
        Some((pair.get(0).as_string()?, arg(pair.get(1))))
    });
    Arg::Pairs(pairs.collect())
}
